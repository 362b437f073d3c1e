// SPDX-License-Identifier: BSD-2-Clause
#include "monitors/snapvmm.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace vmsnap::compat {
namespace {

constexpr MonitorDevice kDevices[] = {
    {"acpi_pm", "isa0/acpi_pm@600", HowMany::kAny},
    {"cpu_profile", "", HowMany::kOne},
    {"i8042", "isa0/i8042@60", HowMany::kAny},
    {"i8254", "", HowMany::kOne},
    {"i8259", "", HowMany::kOne},
    {"ioapic", "", HowMany::kOne},
    {"kvm_clock", "", HowMany::kOne},
    {"lapic", "cpu{cpu}/lapic", HowMany::kEachCpu},
    {"mc146818", "isa0/rtc@70", HowMany::kAny},
    {"pci_host", "pci0/00:00.0", HowMany::kAny},
    {"uart16550", "isa0/uart@3f8", HowMany::kAny},
    {"virtio_blk", "pci0/00:{slot}.0", HowMany::kAny},
    {"x86_cpu", "", HowMany::kEachCpu},
};

/// Whether `path` is `place` with the number of one of `count` things from `first` on for `what`.
bool is_numbered(std::string_view place, std::string_view what, std::string_view path, std::uint32_t first,
                 std::uint32_t count, bool is_slot) {
  const std::size_t at = place.find(what);
  for (std::uint32_t number = first; number < count; ++number) {
    const std::string text = is_slot ? fmt::format("{:02x}", number) : fmt::format("{}", number);
    if (path == std::string(place).replace(at, what.size(), text)) return true;
  }
  return false;
}

}  // namespace

std::span<const MonitorDevice> devices_of_snapvmm() {
  return kDevices;
}

const MonitorDevice* find_device_of_snapvmm(std::string_view type) {
  const auto* const found = std::find_if(std::begin(kDevices), std::end(kDevices),
                                         [&](const MonitorDevice& device) { return device.type == type; });
  return found == std::end(kDevices) ? nullptr : found;
}

bool is_place_of(const MonitorDevice& device, std::string_view path, std::uint32_t vcpus) {
  constexpr std::string_view kCpu = "{cpu}", kSlot = "{slot}";
  constexpr std::uint32_t kSlots = 32;
  if (device.place.empty()) return true;
  if (device.place.find(kCpu) != std::string_view::npos)
    return is_numbered(device.place, kCpu, path, 0, vcpus, false);
  if (device.place.find(kSlot) != std::string_view::npos)
    return is_numbered(device.place, kSlot, path, 1, kSlots, true);
  return path == device.place;
}

}  // namespace vmsnap::compat
