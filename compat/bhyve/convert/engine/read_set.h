// SPDX-License-Identifier: BSD-2-Clause
// From the chunks of a legacy snapshot to a machine and what is bhyve's own.
#pragma once

#include <optional>
#include <vector>

#include "base/file.h"
#include "bhyve/convert/engine/chosen_layouts.h"
#include "bhyve/convert/engine/overlaid_memory.h"
#include "bhyve/convert/engine/pci_places.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/engine/report.h"
#include "bhyve/convert/machine.h"
#include "bhyve/set/legacy_set.h"

namespace vmsnap::compat::bhyve {

/// Name of the segment that holds the pixels of bhyve's display, and of the item that does in its chunk.
inline constexpr std::string_view kFramebufferSegment = "framebuffer";
inline constexpr std::string_view kFramebufferItem = "framebuffer";

/// Where the pixels are.
struct Pixels {
  std::uint64_t kern_offset = 0;  // in the .kern file
  std::uint64_t size = 0;         // bytes
  std::optional<Gpa> address;     // where the guest sees them; absent: nowhere
};

struct ReadSet {
  Machine machine;
  PrivateState private_state;
  std::optional<Pixels> pixels;
  ConversionReport report;
};

/// Converts every chunk. `said` are places of devices whose names say none. What a mapping does not give back
/// as it was goes to the private state, so that write_set() can write the same bytes again. `memory` is that
/// of the set, and must outlive the machine; it is changed where the chunks have newer content. Errors: those
/// of LegacySet::read(), decode() and the mappings; LimitExceeded (more bytes that belong to no chunk than a
/// chunk can hold, more than kMaxFieldsOfSet fields); Usage (a place of a device that is not there or whose
/// name says one, or that another has); Internal (a chunk could not be written again).
[[nodiscard]] Result<ReadSet> read_set(const LegacySet& set, const ChosenLayouts& layouts,
                                       OverlaidMemory& memory, const std::vector<SaidPlace>& said = {});

}  // namespace vmsnap::compat::bhyve
