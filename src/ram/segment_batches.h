// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <deque>

#include "base/result.h"
#include "container/chunk_rules.h"
#include "ram/extent_batch.h"

namespace vmsnap {

struct StoredBatch {
  const ChunkRecord* chunk;
  ExtentBatch batch;
  std::uint64_t data_before = 0;  // bytes of data in the batches before
  std::uint64_t runs_before = 0;  // and their runs
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

  /// In order. A batch stays where it is when others are added.
  [[nodiscard]] const std::deque<StoredBatch>& all() const { return batches_; }
  /// In how many pieces the segment is in the file: what a mapping takes, each run by itself and a duplicate
  /// once for each run it repeats. Stops counting at kManyPieces.
  [[nodiscard]] std::uint64_t pieces() const { return pieces_; }
  static constexpr std::uint64_t kManyPieces = std::uint64_t{1} << 32;

  /// The batch with byte `at` of the segment, which lies below the end of the last batch.
  [[nodiscard]] const StoredBatch& at(std::uint64_t at) const;

 private:
  [[nodiscard]] Result<void> check_duplicates(const StoredBatch& stored);
  [[nodiscard]] std::uint64_t data_before(std::uint64_t at) const;
  [[nodiscard]] std::uint64_t run_at(std::uint64_t at) const;

  std::uint32_t segment_;
  std::uint64_t size_;
  std::uint64_t end_ = 0;  // of the last batch
  std::uint64_t pieces_ = 0;
  std::deque<StoredBatch> batches_;
};

}  // namespace vmsnap
