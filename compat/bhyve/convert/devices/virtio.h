// SPDX-License-Identifier: BSD-2-Clause
// What the chunks of all virtio devices have in common: the PCI function and the device-independent part,
// which are the fields `pci` and `virtio` of each of their types.
#pragma once

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {

/// Fills both, and puts the rings into guest memory. A ring that guest memory has no place for stays where
/// it is. Errors: Io, Internal.
[[nodiscard]] Result<void> virtio_up(const SourceChunk& chunk, Machine& machine, StateTree& state);

/// Gives every value of both; the rings come from guest memory. `config_size`: bytes of the device's own
/// configuration space, as bhyve states them. Errors: Io, Internal.
[[nodiscard]] Result<void> virtio_down(const Machine& machine, const StateTree& state,
                                       std::uint64_t config_size, TargetChunk& chunk);

/// Whether the driver accepted the feature of that bit. Errors: Internal.
[[nodiscard]] Result<bool> has_accepted(const StateTree& state, unsigned bit);

}  // namespace vmsnap::compat::bhyve
