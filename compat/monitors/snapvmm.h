// SPDX-License-Identifier: BSD-2-Clause
// What snapvmm has devices for, and where. A test holds this against snapvmm itself.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace vmsnap::compat {

/// How many devices of a type a machine has.
enum class HowMany : std::uint8_t {
  kOne,      // exactly
  kEachCpu,  // one for every vCPU
  kAny,
};

struct MonitorDevice {
  std::string_view type;
  /// The paths at which it may stand; "{cpu}" is the number of a vCPU, "{slot}" a slot of the PCI bus from 01
  /// to 1f. Empty: the path does not matter.
  std::string_view place;
  HowMany how_many = HowMany::kAny;
};

/// In order of type.
[[nodiscard]] std::span<const MonitorDevice> devices_of_snapvmm();

/// nullptr when snapvmm has no device of that type.
[[nodiscard]] const MonitorDevice* find_device_of_snapvmm(std::string_view type);

[[nodiscard]] bool is_place_of(const MonitorDevice& device, std::string_view path, std::uint32_t vcpus);

}  // namespace vmsnap::compat
