// SPDX-License-Identifier: BSD-2-Clause
// The part of a device's chunk that every PCI function has, and the PciFunction that holds it. Mappings of
// PCI devices call these; intx_asserted is theirs, since bhyve saves it by device or not at all.
#pragma once

#include <string_view>

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {

/// Fills the PciFunction of `state` whose fields begin with `field_prefix` ("pci."). Errors: Internal.
[[nodiscard]] Result<void> pci_up(const SourceChunk& chunk, Machine& machine, StateTree& state,
                                  std::string_view field_prefix);
/// Gives every value of the prefix. Errors: Internal.
[[nodiscard]] Result<void> pci_down(const StateTree& state, std::string_view field_prefix,
                                    TargetChunk& chunk);

/// Whether the function of `state` sends its interrupts by MSI-X: the Enable bit of that capability. Errors:
/// Internal.
[[nodiscard]] Result<bool> msix_is_enabled(const StateTree& state, std::string_view field_prefix);

}  // namespace vmsnap::compat::bhyve
