// SPDX-License-Identifier: BSD-2-Clause
// Where on the bus the devices of a legacy snapshot sit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bhyve/set/device_name.h"

namespace vmsnap::compat::bhyve {

/// Of the host bridge, which every machine has.
inline constexpr std::string_view kHostBridgePath = "pci0/00:00.0";

/// A device chunk, by the name of its entry and that of its layout.
struct NamedDevice {
  std::string_view name;   // of the entry
  std::string_view chunk;  // of the layout; empty: nobody knows it, so it gets no place
};

struct PciPlace {
  std::string path;          // "pci0/00:03.0"; empty of what is no PCI function, and of what got no place
  bool is_invented = false;  // the name says no address
};

/// A place for each of the devices: the one its name says, unless another device has it already; else the
/// first free one from slot 1 on.
[[nodiscard]] std::vector<PciPlace> assign_places(const std::vector<NamedDevice>& devices);

/// The address that a path of assign_places() says. Nothing for any other text.
[[nodiscard]] std::optional<PciAddress> address_of(std::string_view path);

}  // namespace vmsnap::compat::bhyve
