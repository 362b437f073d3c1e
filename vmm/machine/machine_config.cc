// SPDX-License-Identifier: BSD-2-Clause
#include "machine/machine_config.h"

#include <fmt/format.h>

#include "boot/platform.h"

namespace vmsnap::vmm {
namespace {

// Slots 1 and 2 stay free for the devices that PCs have there (ISA bridge, display).
constexpr std::uint32_t kFirstDiskSlot = 3;

}  // namespace

std::vector<DeviceSpec> standard_devices(const std::vector<DiskBackend>& disks, bool packed_rings) {
  std::vector<DeviceSpec> specs;
  specs.push_back({"uart16550", fmt::format("isa0/uart@{:x}", platform::kCom1Port), std::nullopt});
  specs.push_back({"i8042", fmt::format("isa0/i8042@{:x}", platform::kI8042DataPort), std::nullopt});
  specs.push_back({"mc146818", fmt::format("isa0/rtc@{:x}", platform::kRtcPort), std::nullopt});
  specs.push_back({"acpi_pm", fmt::format("isa0/acpi_pm@{:x}", platform::kAcpiPmPort), std::nullopt});
  specs.push_back({"pci_host", "pci0/00:00.0", std::nullopt});
  std::uint32_t slot = kFirstDiskSlot;
  for (const DiskBackend& disk : disks) {
    specs.push_back({"virtio_blk", fmt::format("pci0/00:{:02x}.0", slot), disk, packed_rings});
    ++slot;
  }
  return specs;
}

Result<void> validate(const MachineConfig& config) {
  if (config.vcpu_count == 0 || config.vcpu_count > kMaxVcpus) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("the machine has {} virtual CPUs; this VMM runs 1 to {}", config.vcpu_count, kMaxVcpus));
  }
  if (config.devices.size() > platform::kPciSlots) {
    return Error(ErrorKind::kUnsupported, fmt::format("the machine has {} devices; there is room for {}",
                                                      config.devices.size(), platform::kPciSlots));
  }
  return validate(config.memory_map);
}

}  // namespace vmsnap::vmm
