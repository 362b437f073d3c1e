// SPDX-License-Identifier: BSD-2-Clause
// Whole segments at once: into memory, or past the hashes.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "ram/pass_options.h"
#include "ram/segment_reader.h"

namespace vmsnap {

/// Fills `memory`, which has the segment's size and is zero, from the file. With `verify`, every extent is
/// hashed where it then is. Errors: Io, Truncated; Corrupt, naming the first extent that is wrong; Usage (the
/// size differs); InvalidState (cancelled).
[[nodiscard]] Result<void> load_segment(const SegmentReader& segment, MutableByteView memory, bool verify,
                                        const PassOptions& options = {});

/// Verifies every extent; those that are holes of the file are compared without being read. `mapping`, when
/// not empty, is the unmodified result of SegmentReader::map() and is hashed in place. Errors: as
/// load_segment().
[[nodiscard]] Result<void> verify_segment(const SegmentReader& segment, ByteView mapping,
                                          const PassOptions& options = {});

}  // namespace vmsnap
