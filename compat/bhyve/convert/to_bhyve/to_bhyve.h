// SPDX-License-Identifier: BSD-2-Clause
// A snapshot that was converted from bhyve written as the three files that bhyve reads.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "bhyve/convert/engine/report.h"
#include "bhyve/vocabulary.h"
#include "ram/pass_options.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::compat::bhyve {

struct ToBhyveOptions {
  std::optional<KernelShape> shape;  // absent: the one that was converted
  std::optional<Vendor> vendor;      // absent: the one that was converted
  /// See WriteSetOptions::repair.
  bool repair = false;
  PassOptions pass = {};  // progress in bytes of guest memory, and cancellation
};

/// Writes BASE, BASE.kern and BASE.meta, where `base` is BASE, beside their places and puts them there when
/// all are complete and on the disk, the .meta last: without it no bhyve takes the others for a snapshot.
/// When putting them there fails, those that are there already are removed. None of the three may exist
/// before. With an empty `base` nothing is written, and the report says what would be.
///
/// `from` is open at level meta or above; guest memory is verified on the way. Errors: Unsupported, with the
/// reason (no bhyve_private; another vendor; a version of a device that this build does not convert; what
/// write_set() refuses); Usage (a file exists); those of write_set(); Corrupt, Truncated, Io; InvalidState
/// (cancelled).
[[nodiscard]] Result<ConversionReport> to_bhyve(const SnapshotReader& from, const std::string& base,
                                                const ToBhyveOptions& options);

}  // namespace vmsnap::compat::bhyve
