// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/mapping.h"
#include "base/result.h"
#include "base/stream.h"
#include "container/chunk_rules.h"
#include "ram/flat_ram.h"
#include "ram/segment_batches.h"

namespace vmsnap {

/// Builds a segment in memory from its chunks as a stream brings them, and verifies every byte. Bodies that
/// are not compressed go from the descriptor straight to where the guest will have them.
///
/// begin(), then read_part() until it says that there is no more, for each chunk; work() and settle() once
/// for each part. Errors name chunk and offset, not the stream.
class SegmentFiller {
 public:
  /// Some of a body that was read. To be used again for others: it keeps what it has allocated.
  struct Part {
    SegmentFiller* filler = nullptr;      // whose part it is
    const StoredBatch* stored = nullptr;  // null: of a flat body
    std::uint64_t first_extent = 0;       // extents [first_extent, end_extent) of the segment
    std::uint64_t end_extent = 0;
    std::uint64_t bytes = 0;  // of the segment
    bool is_encoded = false;  // `encoded` is the whole body of the batch, to be decoded
    ByteVector encoded;
    ByteVector block;
  };

  /// Of segment number `id`, which has `size` bytes.
  SegmentFiller(std::uint32_t id, std::uint64_t size) : id_(id), size_(size), batches_(id, size) {}
  SegmentFiller(const SegmentFiller&) = delete;
  SegmentFiller& operator=(const SegmentFiller&) = delete;

  /// Takes a RAM chunk of this segment, which the directory of the snapshot has admitted, and its meta, whose
  /// hash is verified. `chunk` must outlive this object. Errors: Corrupt; Unsupported; LimitExceeded (the
  /// process cannot map the segment).
  [[nodiscard]] Result<void> begin(const ChunkRecord& chunk, ByteView meta);
  /// Reads more of the body of that chunk; false when there is no more. Errors: Io, Truncated, Corrupt.
  [[nodiscard]] Result<bool> read_part(StreamSource& source, Part& part);

  /// Decodes and verifies a part. Thread-safe, also while other parts are read. Errors: Corrupt, naming the
  /// extent.
  [[nodiscard]] Result<void> work(Part& part) const;
  /// Does what needs all parts before this one to be settled. Parts come in order. Errors: Corrupt.
  [[nodiscard]] Result<void> settle(const Part& part) const;

  /// Errors: Corrupt (chunks of the segment are missing).
  [[nodiscard]] Result<void> check_complete() const;
  /// The memory: private, anonymous, with every page that is data or a repetition in place.
  [[nodiscard]] Mapping take_memory() { return std::move(memory_); }

 private:
  [[nodiscard]] Result<void> map();
  [[nodiscard]] Result<void> read_flat(StreamSource& source, Part& part);
  [[nodiscard]] Result<void> read_batch(StreamSource& source, Part& part) const;
  [[nodiscard]] Result<void> verify(const Part& part, std::uint64_t index) const;
  [[nodiscard]] Result<void> verify_zero(const Part& part, std::uint64_t index) const;
  [[nodiscard]] Error bad_extent(const Part& part, std::uint64_t index) const;
  [[nodiscard]] std::uint64_t leaf(const Part& part, std::uint64_t index) const;
  [[nodiscard]] std::uint64_t zero_leaf(std::uint64_t index) const;
  [[nodiscard]] MutableByteView extent(std::uint64_t index) const;

  std::uint32_t id_;
  std::uint64_t size_;
  std::uint8_t extent_shift_ = 0;
  std::uint64_t zero_leaf_ = 0;  // of a whole extent
  Mapping memory_;

  const ChunkRecord* chunk_ = nullptr;  // that was begun
  std::uint64_t next_extent_ = 0;       // of a flat body
  std::optional<FlatRamMeta> flat_;
  bool batch_is_read_ = false;
  SegmentBatches batches_;
};

}  // namespace vmsnap
