// SPDX-License-Identifier: BSD-2-Clause
// How a legacy snapshot names its devices.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vmsnap::compat::bhyve {

struct PciAddress {
  std::uint8_t bus = 0;
  std::uint8_t slot = 0;      // 0..31
  std::uint8_t function = 0;  // 0..7

  friend bool operator==(const PciAddress&, const PciAddress&) = default;
};

/// "virtio-blk", of generations A, A2 and B; "virtio-blk@pci.0.3.0"; or "virtio-blk-pci-0-3-0", of
/// development trees.
struct DeviceName {
  std::string_view emulation;  // the whole name when no address can be read from it; borrowed from the name
  std::optional<PciAddress> pci;  // absent where the name says none
};

[[nodiscard]] DeviceName parse_device_name(std::string_view name);

}  // namespace vmsnap::compat::bhyve
