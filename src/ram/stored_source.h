// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "ram/extent_source.h"
#include "ram/segment_reader.h"

namespace vmsnap {

/// A segment of an open snapshot: each extent is read into its storage and verified. Memory: what the caller
/// keeps of extents, and one more.
class StoredSource final : public ExtentSource {
 public:
  /// What `segment` refers to must outlive the source.
  explicit StoredSource(SegmentReader segment);

  /// Errors: Io, Truncated; Corrupt (the bytes do not match the leaf).
  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override;

 private:
  SegmentReader segment_;
  SegmentCursor cursor_;
  ByteVector other_;  // the extent that holds() compares with
};

}  // namespace vmsnap
