// SPDX-License-Identifier: BSD-2-Clause
// A legacy snapshot of bhyve written as a snapshot of this format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bhyve/convert/engine/chosen_layouts.h"
#include "bhyve/convert/engine/pci_places.h"
#include "bhyve/convert/engine/report.h"
#include "bhyve/set/legacy_set.h"
#include "ram/pass_options.h"
#include "snapshot/manifest.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::compat::bhyve {

struct FromBhyveOptions {
  std::vector<SaidPlace> places = {};  // of devices whose names say none
  PassOptions pass = {};               // progress in bytes of guest memory, and cancellation
  std::string tool;                    // who does it, for the provenance
  std::string tool_version;
  std::int64_t time = 0;  // nanoseconds since 1970-01-01T00:00:00Z
};

struct FromBhyve {
  ConversionReport report;
  std::vector<DeviceEntry> devices;        // of the manifest
  std::optional<SnapshotSummary> written;  // absent when nothing was to be written
};

/// Writes the machine of `set`, read by `layouts`, into a file that appears when it is complete and on the
/// disk (AtomicFile, mode 0600). Guest memory is read from BASE piece by piece, its holes are not read at
/// all; the three files are not changed. With an empty `to` nothing is written, and the report says what
/// would be. Errors: those of read_set(); Unsupported (guest memory that is not as long as the .meta file
/// says, or not of whole pages); Io; InvalidState (cancelled).
[[nodiscard]] Result<FromBhyve> from_bhyve(const LegacySet& set, const ChosenLayouts& layouts,
                                           const std::string& to, const FromBhyveOptions& options);

}  // namespace vmsnap::compat::bhyve
