// SPDX-License-Identifier: BSD-2-Clause
#include "memory_diff.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap::snaptool {
namespace {

/// Ranges that are printed for a segment; JSON has all.
constexpr std::size_t kShownRanges = 20;

void compare_leaves(const SegmentReader& left, const SegmentReader& right, SegmentDiff& diff) {
  diff.extents = left.leaves().size();
  diff.extent_size = std::uint64_t{1} << left.extent_shift();
  for (std::uint64_t i = 0; i < diff.extents; ++i) {
    if (left.leaves()[i] == right.leaves()[i]) continue;
    ++diff.different;
    const std::uint64_t begin = left.extent_begin(i);
    if (diff.ranges.empty() || diff.ranges.back().begin + diff.ranges.back().size != begin) {
      diff.ranges.push_back({begin, 0});
    }
    diff.ranges.back().size = left.extent_end(i) - diff.ranges.back().begin;
  }
}

Result<SegmentReader> open_segment(const SnapshotReader& reader, const MemorySegment& segment) {
  auto opened = reader.segment(segment.id);
  if (!opened) return std::move(opened).error().in_file(reader.container().file().name());
  return opened;
}

const MemorySegment* find(const SnapshotReader& reader, const std::string& name) {
  const auto& segments = reader.memory_map().segments;
  const auto found = std::find_if(segments.begin(), segments.end(),
                                  [&](const MemorySegment& segment) { return segment.name == name; });
  return found == segments.end() ? nullptr : &*found;
}

}  // namespace

Result<MemoryDiff> compare_memory(const SnapshotReader& left, const SnapshotReader& right) {
  MemoryDiff diff;
  for (const MemorySegment& segment : left.memory_map().segments) {
    SegmentDiff found;
    found.name = segment.name;
    const MemorySegment* other = find(right, segment.name);
    if (other == nullptr) {
      found.why_not = "the second file has no segment of that name";
    } else if (other->size != segment.size) {
      found.why_not = fmt::format("it has {} in the first file and {} in the second",
                                  exact_size(segment.size), exact_size(other->size));
    } else {
      VMSNAP_ASSIGN_OR_RETURN(const SegmentReader l, open_segment(left, segment));
      VMSNAP_ASSIGN_OR_RETURN(const SegmentReader r, open_segment(right, *other));
      if (l.extent_shift() == r.extent_shift()) {
        compare_leaves(l, r, found);
      } else {
        found.why_not = "its extents have different sizes in the two files; repack one of them";
      }
    }
    if (found.different > 0 || !found.why_not.empty()) diff.segments.push_back(std::move(found));
  }
  for (const MemorySegment& segment : right.memory_map().segments) {
    if (find(left, segment.name) != nullptr) continue;
    SegmentDiff found;
    found.name = segment.name;
    found.why_not = "the first file has no segment of that name";
    diff.segments.push_back(std::move(found));
  }
  return diff;
}

void print_text(const MemoryDiff& diff, Output& output) {
  for (const SegmentDiff& segment : diff.segments) {
    if (!segment.why_not.empty()) {
      output.print(fmt::format("memory {}: {}\n", printable(segment.name), segment.why_not));
      continue;
    }
    output.print(fmt::format("memory {}: {} of {} of {} differ\n", printable(segment.name), segment.different,
                             count_of(segment.extents, "extent"), human_size(segment.extent_size)));
    for (std::size_t i = 0; i < std::min(segment.ranges.size(), kShownRanges); ++i) {
      const MemoryRange& range = segment.ranges[i];
      output.print(fmt::format("  {:#x}-{:#x}: {}\n", range.begin, range.begin + range.size - 1,
                               human_size(range.size)));
    }
    if (segment.ranges.size() > kShownRanges) {
      output.print(
          fmt::format("  ... and {} more\n", count_of(segment.ranges.size() - kShownRanges, "range")));
    }
  }
}

Json to_json(const MemoryDiff& diff) {
  Json segments = Json::array();
  for (const SegmentDiff& segment : diff.segments) {
    Json ranges = Json::array();
    for (const MemoryRange& range : segment.ranges) {
      ranges.push_back({{"begin", wide(range.begin)}, {"size", wide(range.size)}});
    }
    segments.push_back({{"segment", segment.name},
                        {"not_compared", text_or_null(segment.why_not)},
                        {"extents", wide(segment.extents)},
                        {"different", wide(segment.different)},
                        {"extent_size", wide(segment.extent_size)},
                        {"ranges", std::move(ranges)}});
  }
  return segments;
}

}  // namespace vmsnap::snaptool
