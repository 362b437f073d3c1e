// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/from_bhyve/slots.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "bhyve/convert/devices/ata_identity.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kVirtioSector = 512;
constexpr unsigned kReadOnly = 5;  // VIRTIO_BLK_F_RO

/// The number of an item of the chunk that the device was made from; nothing when the chunk has none.
std::optional<std::uint64_t> item_of_chunk(const PrivateState& state, std::string_view device,
                                           std::string_view path) {
  for (const PrivateChunk& chunk : state.chunks) {
    if (chunk.devices.empty() || chunk.devices.front() != device) continue;
    for (const PrivateItem& item : chunk.items) {
      if (item.path == path) return item.value;
    }
  }
  return std::nullopt;
}

class SlotMaker {
 public:
  SlotMaker(const MachineDevice& device, const PrivateState& state, SlotNames& names)
      : device_(device), state_(state), names_(names) {}

  Result<std::vector<Slot>> make() {
    if (device_.type == "virtio_blk") VMSNAP_RETURN_IF_ERROR(add_virtio_disk());
    if (device_.type == "ahci") VMSNAP_RETURN_IF_ERROR(add_drives());
    if (device_.type == "virtio_net" || device_.type == "e1000") {
      slots_.push_back(
          {fmt::format("net{}", names_.networks++), SlotKind::kNetworkBackend, {}, std::nullopt, false});
    }
    return std::move(slots_);
  }

 private:
  void add_disk(std::optional<std::uint64_t> size, bool is_read_only) {
    if (size == std::uint64_t{0}) size.reset();
    slots_.push_back(
        {fmt::format("disk{}", names_.disks++), SlotKind::kBlockBackend, {}, size, is_read_only});
  }

  Result<void> add_virtio_disk() {
    VMSNAP_ASSIGN_OR_RETURN(const auto sectors, device_.state.get<std::uint64_t>("config.capacity"));
    VMSNAP_ASSIGN_OR_RETURN(const auto features, device_.state.get<std::uint64_t>("virtio.device_features"));
    const auto size = checked_mul(sectors, kVirtioSector);
    add_disk(size ? std::optional(*size) : std::nullopt, (features >> kReadOnly & 1) != 0);
    return {};
  }

  Result<void> add_drives() {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t ports, device_.state.count("ports"));
    for (std::size_t i = 0; i < ports; ++i) {
      const std::string port = fmt::format("ports[{}].", i);
      VMSNAP_ASSIGN_OR_RETURN(const bool has_drive, device_.state.has(port + "drive"));
      if (!has_drive) continue;
      VMSNAP_ASSIGN_OR_RETURN(const bool is_optical, device_.state.get<bool>(port + "drive.packet_device"));
      VMSNAP_ASSIGN_OR_RETURN(const auto number, device_.state.get<std::uint8_t>(port + "number"));
      VMSNAP_ASSIGN_OR_RETURN(ByteVector identity, device_.state.get<ByteVector>(port + "drive.identify"));
      // 13.0 and 13.1 say how large the medium in an optical drive is.
      add_disk(is_optical ? item_of_chunk(state_, device_.path, fmt::format("port[{}].blockif.size", number))
                          : AtaIdentity(std::move(identity)).size(),
               is_optical);
    }
    return {};
  }

  const MachineDevice& device_;
  const PrivateState& state_;
  SlotNames& names_;
  std::vector<Slot> slots_;
};

}  // namespace

Result<std::vector<Slot>> slots_of(const MachineDevice& device, const PrivateState& state, SlotNames& names) {
  return SlotMaker(device, state, names).make();
}

}  // namespace vmsnap::compat::bhyve
