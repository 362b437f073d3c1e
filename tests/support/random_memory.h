// SPDX-License-Identifier: BSD-2-Clause
// Guest memory of every kind that the encodings treat differently.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::test {

/// Owns what its contents() refers to: one to four segments and no devices. The same seed gives the same
/// bytes, always. In the segments, in random order: extents that are zero, random, compressible, a mix of
/// zero and other pages, or a repetition of an earlier extent, whole or all but one byte; gaps of many zero
/// extents; and most last extents are short.
class RandomMemory {
 public:
  explicit RandomMemory(std::uint64_t seed);

  [[nodiscard]] const std::vector<ByteVector>& segments() const { return segments_; }
  /// Borrows from this object.
  [[nodiscard]] SnapshotContents contents() const;

 private:
  std::vector<ByteVector> segments_;
};

}  // namespace vmsnap::test
