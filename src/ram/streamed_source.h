// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/stream.h"
#include "container/chunk_rules.h"
#include "format/digest.h"
#include "ram/extent_source.h"
#include "ram/flat_ram.h"
#include "ram/segment_batches.h"

namespace vmsnap {

/// A segment whose chunks a stream brings: each extent is read once, in order, and verified. It stops where
/// the stream has something else in between. What is kept, beyond the extent at hand, are the metas of the
/// chunks. Pages that repeat earlier ones, whose bytes are gone, are handed out as repeats. Errors name chunk
/// and offset, not the stream.
class StreamedSource final : public ExtentSource {
 public:
  /// Goes on in the stream from the end of a body: when a chunk of this segment comes next, gives it to add()
  /// and returns true; false when something else does.
  using NextChunk = std::function<Result<bool>()>;

  struct Options {
    NextChunk next_chunk;
    /// The caller promises to verify unproven() later. Otherwise they are refused.
    bool allow_unproven = false;
  };

  /// The segment of `size` bytes that the RAM chunk `chunk`, which the directory of the snapshot has
  /// admitted, begins; `meta` is verified against its hash. `stream`, which stands at the body, must outlive
  /// the result. Errors: Corrupt; Unsupported; LimitExceeded.
  [[nodiscard]] static Result<std::unique_ptr<StreamedSource>> open(StreamSource& stream,
                                                                    const ChunkRecord& chunk, ByteView meta,
                                                                    std::uint64_t size, Options options);
  /// Takes the next chunk, at whose body the stream stands. Errors: as open().
  [[nodiscard]] Result<void> add(const ChunkRecord& chunk, ByteView meta);

  [[nodiscard]] std::uint64_t first_extent() const override { return next_; }
  /// Errors: those of the callback.
  [[nodiscard]] Result<bool> has(std::uint64_t index) override;
  /// Errors: Io; Truncated; Corrupt; LimitExceeded (an extent whose leaf only the bytes of pages that are
  /// gone could prove).
  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  /// What is gone cannot be compared.
  [[nodiscard]] Result<bool> holds(std::uint64_t, ByteView) override { return false; }

  /// Errors: Corrupt (chunks of the segment are missing).
  [[nodiscard]] Result<void> check_complete() const;
  /// Extents whose leaves the caller must hold against what it has written.
  [[nodiscard]] const std::vector<std::uint64_t>& unproven() const { return unproven_; }
  /// The Corrupt error for an extent that does not give its leaf.
  [[nodiscard]] Error damaged(std::uint64_t index) const;
  /// Adds the segment to what the digest of all memory is over; its chunks must be complete.
  void add_to(MemoryHasher& hasher) const;

 private:
  StreamedSource(StreamSource& stream, std::uint32_t id, std::uint64_t size, std::uint8_t extent_shift,
                 Options options);

  [[nodiscard]] Result<void> add_batch(const ChunkRecord& chunk, ExtentBatch batch);
  [[nodiscard]] Result<void> scan_flat(Extent& extent);
  [[nodiscard]] Result<void> scan_batch(Extent& extent);
  /// Fills the storage of an extent of a batch with its data, and with zeros elsewhere.
  [[nodiscard]] Result<void> read_data(const StoredBatch& stored, Extent& extent);
  /// True when an extent consists of zeros and of all that another has, which has the same leaf.
  [[nodiscard]] bool is_repetition(const Extent& extent) const;
  [[nodiscard]] std::uint64_t leaf(std::uint64_t index) const;
  [[nodiscard]] Result<void> verify(const Extent& extent, std::uint64_t hash) const;
  [[nodiscard]] std::uint64_t zero_leaf(const Extent& extent) const;

  StreamSource& stream_;
  Options options_;
  std::uint64_t zero_leaf_;  // of a whole extent
  std::uint64_t next_ = 0;   // extent
  std::deque<ChunkRecord> chunks_;
  std::optional<FlatRamMeta> flat_;
  SegmentBatches batches_;
  std::size_t next_block_ = 0;  // of the last batch
  ByteVector encoded_;
  ByteVector block_;
  std::vector<std::uint64_t> unproven_;
};

}  // namespace vmsnap
