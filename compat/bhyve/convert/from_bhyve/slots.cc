// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/from_bhyve/slots.h"

#include <fmt/format.h>

namespace vmsnap::compat::bhyve {

Result<std::vector<Slot>> slots_of(const MachineDevice& device, SlotNames& names) {
  std::vector<Slot> slots;
  const auto add = [&](std::string name, SlotKind kind) {
    slots.push_back({std::move(name), kind, {}, {}, {}});
  };
  if (device.type == "virtio_blk") add(fmt::format("disk{}", names.disks++), SlotKind::kBlockBackend);
  if (device.type == "virtio_net" || device.type == "e1000") {
    add(fmt::format("net{}", names.networks++), SlotKind::kNetworkBackend);
  }
  if (device.type == "ahci") {
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t ports, device.state.count("ports"));
    for (std::size_t i = 0; i < ports; ++i) {
      VMSNAP_ASSIGN_OR_RETURN(const bool drive, device.state.has(fmt::format("ports[{}].drive", i)));
      if (drive) add(fmt::format("disk{}", names.disks++), SlotKind::kBlockBackend);
    }
  }
  return slots;
}

}  // namespace vmsnap::compat::bhyve
