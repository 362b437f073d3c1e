// SPDX-License-Identifier: BSD-2-Clause
// What the metas of a memory segment's chunks say, whatever its encoding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "ram/segment_batches.h"

namespace vmsnap {

/// The decoded metas of one segment. They are added chunk by chunk, and immutable from then on. Const member
/// functions are thread-safe. Errors name chunk and offset, not the file.
class SegmentMetas {
 public:
  /// Of segment number `segment`, which has `size` bytes.
  SegmentMetas(std::uint32_t segment, std::uint64_t size);

  /// Takes the next RAM chunk of the segment, in the order of the file: one RAMF, or RAME chunks. The hash of
  /// `meta` is verified. `chunk` must outlive this object. Errors: Corrupt; Unsupported; LimitExceeded.
  [[nodiscard]] Result<void> add(const ChunkRecord& chunk, ByteView meta);
  /// Errors: Corrupt (the chunks do not hold every extent).
  [[nodiscard]] Result<void> check_complete() const;

  [[nodiscard]] std::uint64_t size() const { return size_; }  // bytes
  [[nodiscard]] std::uint8_t extent_shift() const { return extent_shift_; }
  /// XXH3-64 of each extent, in order.
  [[nodiscard]] std::span<const std::uint64_t> leaves() const { return leaves_; }
  /// XXH3-64 of a whole extent of zeros.
  [[nodiscard]] std::uint64_t zero_leaf() const { return zero_leaf_; }
  /// Bytes of pages that are stored, before compression and without duplicates.
  [[nodiscard]] std::uint64_t data_bytes() const { return data_bytes_; }
  [[nodiscard]] bool is_compressed() const { return compressed_; }

  /// The chunk of a flat segment; nullptr of another, which has batches.
  [[nodiscard]] const ChunkRecord* flat() const { return flat_; }
  [[nodiscard]] const SegmentBatches& batches() const { return batches_; }

 private:
  std::uint32_t segment_;
  std::uint64_t size_;
  std::uint8_t extent_shift_ = 0;
  std::uint64_t data_bytes_ = 0;
  bool compressed_ = false;
  std::uint64_t zero_leaf_ = 0;
  std::vector<std::uint64_t> leaves_;
  const ChunkRecord* flat_ = nullptr;
  SegmentBatches batches_;
};

}  // namespace vmsnap
