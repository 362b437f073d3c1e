// SPDX-License-Identifier: BSD-2-Clause
// Whether snapvmm can go on with a machine, device by device.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/manifest.h"

namespace vmsnap::compat {

struct Takeover {
  std::string device;  // path; empty for one that is missing
  std::string type;
  bool can = false;
  std::string why;  // a clause: why it can or cannot
};

/// An answer for each device, in order, then for each that snapvmm needs and that is not there. Asks what a
/// restore asks of the manifest; not whether states are sound, nor what the host has. A machine that has a
/// `bhyve_private` comes from bhyve, which tells more about the others.
[[nodiscard]] std::vector<Takeover> judge_takeover(std::span<const DeviceEntry> devices, std::uint32_t vcpus);

}  // namespace vmsnap::compat
