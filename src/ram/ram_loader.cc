// SPDX-License-Identifier: BSD-2-Clause
#include "ram/ram_loader.h"

#include <algorithm>
#include <memory>

#include "base/parallel.h"

namespace vmsnap {
namespace {

// Enough at once that threads do not meet at the counter, little enough that all end together.
constexpr std::uint64_t kBytesAtOnce = 4u << 20;

using ExtentWork = std::function<Result<void>(std::uint64_t index, SegmentCursor& cursor)>;

Result<void> for_each_extent(const SegmentReader& segment, const PassOptions& options,
                             const ExtentWork& work) {
  const std::uint64_t grain = std::max<std::uint64_t>(1, kBytesAtOnce >> segment.extent_shift());
  return parallel_for(segment.leaves().size(), grain, options.threads, [&] {
    return [&, cursor = std::make_shared<SegmentCursor>()](std::uint64_t first,
                                                           std::uint64_t last) -> Result<void> {
      VMSNAP_RETURN_IF_ERROR(check_cancelled(options));
      for (std::uint64_t i = first; i < last; ++i) VMSNAP_RETURN_IF_ERROR(work(i, *cursor));
      if (options.progress) options.progress(segment.extent_end(last - 1) - segment.extent_begin(first));
      return {};
    };
  });
}

}  // namespace

Result<void> load_segment(const SegmentReader& segment, MutableByteView memory, bool verify,
                          const PassOptions& options) {
  if (memory.size() != segment.size()) {
    return Error(ErrorKind::kUsage, "the memory has another size than the segment");
  }
  return for_each_extent(segment, options, [&](std::uint64_t index, SegmentCursor& cursor) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const bool hole, segment.is_hole(index, cursor));
    if (hole) return verify ? segment.verify_zero(index) : Result<void>{};
    const std::uint64_t begin = segment.extent_begin(index);
    const MutableByteView out = memory.subspan(begin, segment.extent_end(index) - begin);
    VMSNAP_RETURN_IF_ERROR(segment.read(begin, out, true, cursor));
    return verify ? segment.verify_bytes(index, out) : Result<void>{};
  });
}

Result<void> verify_segment(const SegmentReader& segment, ByteView mapping, const PassOptions& options) {
  if (!mapping.empty() && mapping.size() != segment.size()) {
    return Error(ErrorKind::kUsage, "the mapping has another size than the segment");
  }
  return for_each_extent(segment, options, [&](std::uint64_t index, SegmentCursor& cursor) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const bool hole, segment.is_hole(index, cursor));
    if (hole) return segment.verify_zero(index);
    if (mapping.empty()) return segment.verify_extent(index, cursor);
    const std::uint64_t begin = segment.extent_begin(index);
    return segment.verify_bytes(index, mapping.subspan(begin, segment.extent_end(index) - begin));
  });
}

}  // namespace vmsnap
