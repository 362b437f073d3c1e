// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/encoding_rules.h"

#include "format/constants.h"

namespace vmsnap {
namespace {

constexpr std::uint8_t kLargeBodyAlignShift = 21;  // a huge page

}  // namespace

Result<void> check_encoding(const Sink& sink, const SnapshotWriteOptions& options) {
  if (options.encoding == RamEncoding::kExtents) return {};
  if (options.codec != Codec::kNone) {
    return Error(ErrorKind::kUsage,
                 "flat memory is never compressed; choose the encoding \"extents\" to compress");
  }
  if (sink.seekable() == nullptr) {
    return Error(ErrorKind::kUsage,
                 "flat memory can only be written to a file; choose the encoding \"extents\" for streams")
        .in_file(sink.name());
  }
  return {};
}

std::uint8_t choose_body_align_shift(std::uint64_t largest_flat_segment) {
  return largest_flat_segment >> kLargeBodyAlignShift != 0 ? kLargeBodyAlignShift : kMinBodyAlignShift;
}

}  // namespace vmsnap
