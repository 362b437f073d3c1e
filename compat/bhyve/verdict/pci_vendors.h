// SPDX-License-Identifier: BSD-2-Clause
// The vendors of the PCI functions that bhyve emulates.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace vmsnap::compat::bhyve {

/// Of a config space of at least 2 bytes.
[[nodiscard]] inline std::uint16_t pci_vendor(ByteView config_space) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(config_space[0]) |
                                    std::to_integer<unsigned>(config_space[1]) << 8);
}

/// Virtio, Intel, the host bridges of bhyve (NetApp's number) and of AMD, the framebuffer, and the dummy
/// device.
[[nodiscard]] inline bool is_known_pci_vendor(ByteView config_space) {
  constexpr std::array<std::uint16_t, 6> kKnown = {0x1af4, 0x8086, 0x1275, 0x1022, 0xfb5d, 0x10dd};
  return config_space.size() >= 2 &&
         std::find(kKnown.begin(), kKnown.end(), pci_vendor(config_space)) != kKnown.end();
}

}  // namespace vmsnap::compat::bhyve
