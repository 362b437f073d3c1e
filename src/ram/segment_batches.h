// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "container/chunk_rules.h"
#include "ram/extent_batch.h"

namespace vmsnap {

struct StoredBatch {
  const ChunkRecord* chunk;
  ExtentBatch batch;
};

/// The RAME chunks of a segment, held against each other as they come. Errors name chunk and offset, not the
/// file. Const member functions are thread-safe.
class SegmentBatches {
 public:
  /// Of segment number `segment`, which has `size` bytes.
  SegmentBatches(std::uint32_t segment, std::uint64_t size) : segment_(segment), size_(size) {}

  /// Takes the next batch. `chunk` must outlive this object. Errors: Corrupt (it does not go on where the one
  /// before ends, has extents of another size, or repeats pages that are not data).
  [[nodiscard]] Result<void> add(const ChunkRecord& chunk, ExtentBatch batch);
  /// Errors: Corrupt (the segment does not end with the last batch).
  [[nodiscard]] Result<void> check_complete() const;

  [[nodiscard]] std::span<const StoredBatch> all() const { return batches_; }
  /// The batch with byte `at` of the segment, which lies below the end of the last batch.
  [[nodiscard]] const StoredBatch& at(std::uint64_t at) const;

 private:
  [[nodiscard]] Result<void> check_duplicates(const StoredBatch& stored) const;

  std::uint32_t segment_;
  std::uint64_t size_;
  std::uint64_t end_ = 0;  // of the last batch
  std::vector<StoredBatch> batches_;
};

}  // namespace vmsnap
