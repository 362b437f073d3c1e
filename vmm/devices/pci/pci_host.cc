// SPDX-License-Identifier: BSD-2-Clause
#include "devices/pci/pci_host.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"
#include "pci_host_generated.h"

namespace vmsnap::vmm {

namespace {

constexpr std::uint64_t kConfigData = 4;
constexpr std::uint32_t kAddressEnable = 0x8000'0000;
/// Bits 30..24 are reserved and 1..0 always 0.
constexpr std::uint32_t kAddressBits = 0x80ff'fffc;

/// The identity of Intel's 82441FX, which every guest knows to need nothing.
constexpr PciFunction::Identity kHostBridge = {.vendor = 0x8086,
                                               .device = 0x1237,
                                               .revision = 0x02,
                                               .class_code = 0x060000,
                                               .subsystem_vendor = 0,
                                               .subsystem = 0,
                                               .interrupt_pin = 0};

}  // namespace

PciHost::PciHost() : bridge_(kHostBridge, nullptr, nullptr, nullptr) {
  functions_[0] = this;
}

Result<void> PciHost::attach(PciAddress address, PciConfigHandler& function) {
  if (address.device >= 32 || address.function >= 8) {
    return Error(ErrorKind::kInvalidState, fmt::format("{} is not a place on a PCI bus", pci_path(address)));
  }
  PciConfigHandler*& place = functions_[address.device * std::size_t{8} + address.function];
  if (place != nullptr) {
    return Error(ErrorKind::kInvalidState,
                 fmt::format("{} is taken; give one of the devices another place", pci_path(address)));
  }
  place = &function;
  return {};
}

PciHost::Target PciHost::target(std::uint64_t offset, std::size_t size) const {
  const std::lock_guard lock(mutex_);
  const std::uint32_t bus = config_address_ >> 16 & 0xff;
  const bool selected =
      offset >= kConfigData && offset + size <= kPorts && (config_address_ & kAddressEnable) != 0;
  if (!selected || bus != 0) return {nullptr, 0};
  const auto reg = static_cast<std::uint8_t>((config_address_ & 0xfc) + (offset - kConfigData));
  return {functions_[config_address_ >> 8 & 0xff], reg};
}

void PciHost::read(std::uint64_t offset, MutableByteView data) {
  if (offset == 0 && data.size() == sizeof config_address_) {
    const std::lock_guard lock(mutex_);
    store_le(data, 0, config_address_);
    return;
  }
  std::fill(data.begin(), data.end(), std::byte{0xff});
  const Target hit = target(offset, data.size());
  if (hit.function != nullptr) hit.function->config_read(hit.offset, data);
}

void PciHost::write(std::uint64_t offset, ByteView data) {
  // Only whole dwords reach CONFIG_ADDRESS; narrower accesses there belong to other devices.
  if (offset == 0 && data.size() == sizeof config_address_) {
    const std::lock_guard lock(mutex_);
    config_address_ = load_le<std::uint32_t>(data, 0) & kAddressBits;
    return;
  }
  const Target hit = target(offset, data.size());
  if (hit.function != nullptr) hit.function->config_write(hit.offset, data);
}

void PciHost::config_read(std::uint8_t offset, MutableByteView data) {
  const std::lock_guard lock(mutex_);
  bridge_.config_read(offset, data);
}

void PciHost::config_write(std::uint8_t offset, ByteView data) {
  const std::lock_guard lock(mutex_);
  bridge_.config_write(offset, data);
}

DeviceEntry PciHost::describe() const {
  DeviceEntry entry;
  entry.path = pci_path({0, 0});
  entry.type = "pci_host";
  entry.version = {1, 0};
  entry.readable_since = {1, 0};
  return entry;
}

Result<ByteVector> PciHost::save() const {
  const std::lock_guard lock(mutex_);
  schema::PciHostT state;
  state.config_address = config_address_;
  state.function = std::make_unique<schema::PciFunctionT>(bridge_.save());
  return pack_state(state, schema::PciHostIdentifier());
}

Result<void> PciHost::restore(ByteView bytes) {
  const auto take = [this](const schema::PciHostT& state) -> Result<void> {
    if ((state.config_address & ~kAddressBits) != 0) {
      return corrupt_field("config_address",
                           fmt::format("{:#010x} has bits set that always read as 0", state.config_address));
    }
    const std::lock_guard lock(mutex_);
    VMSNAP_ASSIGN_OR_RETURN(PciFunction::Restored function, bridge_.validate(*state.function));
    config_address_ = state.config_address;
    bridge_.assign(std::move(function));
    return {};
  };
  return restore_state<schema::PciHost>(bytes, schema::PciHostIdentifier(), pci_path({0, 0}), take);
}

}  // namespace vmsnap::vmm
