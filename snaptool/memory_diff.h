// SPDX-License-Identifier: BSD-2-Clause
// Where the memory of two guests differs, by the hashes of its extents: no page is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "output.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {

/// Adjacent extents of a segment that differ.
struct MemoryRange {
  std::uint64_t begin = 0;  // byte in the segment
  std::uint64_t size = 0;   // bytes
};

struct SegmentDiff {
  std::string name;             // of the segment, in both
  std::string why_not;          // why it could not be compared; empty as a rule
  std::uint64_t extents = 0;    // of the segment
  std::uint64_t different = 0;  // extents that differ
  std::uint64_t extent_size = 0;
  std::vector<MemoryRange> ranges;
};

struct MemoryDiff {
  std::vector<SegmentDiff> segments;  // those that differ

  [[nodiscard]] bool same() const { return segments.empty(); }
};

/// Segments are matched by name. Errors: Io; Corrupt, LimitExceeded (of one of the files).
[[nodiscard]] Result<MemoryDiff> compare_memory(const SnapshotReader& left, const SnapshotReader& right);

void print_text(const MemoryDiff& diff, Output& output);
[[nodiscard]] Json to_json(const MemoryDiff& diff);

}  // namespace vmsnap::snaptool
