// SPDX-License-Identifier: BSD-2-Clause
// Where on the bus the devices of a legacy snapshot sit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bhyve/set/device_name.h"

namespace vmsnap::compat::bhyve {

/// Of the host bridge, which every machine has.
inline constexpr std::string_view kHostBridgePath = "pci0/00:00.0";

/// A device chunk, by the name of its entry and that of its layout.
struct NamedDevice {
  std::string_view name;   // of the entry
  std::string_view chunk;  // of the layout; empty: nobody knows it, so it gets no place
  /// Where it sits according to who knows, when its name does not say it.
  std::optional<PciAddress> said = {};
};

/// Where a person says that a device sits.
struct SaidPlace {
  std::string name;  // of the entry
  PciAddress address;
};

/// Each text is NAME=PLACE, with PLACE as after -s of bhyve(8): SLOT, SLOT:FUNCTION or BUS:SLOT:FUNCTION in
/// decimal. Errors: Usage; also when a name or a place is there twice.
[[nodiscard]] Result<std::vector<SaidPlace>> parse_places(std::span<const std::string> texts);

struct PciPlace {
  std::string path;          // "pci0/00:03.0"; empty of what is no PCI function, and of what got no place
  bool is_invented = false;  // nobody says the address
};

/// A place for each of the devices: the one its name says, unless another device has it already, in which
/// case it gets none; without one in the name the one that is said, if it is free; else the first free slot
/// from 1 on.
[[nodiscard]] std::vector<PciPlace> assign_places(const std::vector<NamedDevice>& devices);

/// The address that a path of assign_places() says. Nothing for any other text.
[[nodiscard]] std::optional<PciAddress> address_of(std::string_view path);

}  // namespace vmsnap::compat::bhyve
