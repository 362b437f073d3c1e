// SPDX-License-Identifier: BSD-2-Clause
// What is left of a memory segment in a damaged file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "ram/extent_batch.h"
#include "ram/flat_ram.h"

namespace vmsnap {

/// Where the data of a flat body is: [asked_from, data.begin) of the file is a hole, [data.begin, data.end)
/// is not. To ask for it can take as long as there is data.
struct RemainsCursor {
  std::uint64_t asked_from = 0;
  FileRange data;
};

/// The extents of a segment that can still be told to be what was saved. Const member functions are
/// thread-safe.
class SegmentRemains {
 public:
  /// `chunks` are the RAM chunks of the segment whose headers verify, in the order of the file; they and
  /// `file` must outlive the result. What cannot be used of them is left out. Errors: Io; LimitExceeded (the
  /// segment is larger than the format can describe).
  [[nodiscard]] static Result<SegmentRemains> open(const File& file, std::uint64_t size,
                                                   std::span<const ChunkRecord* const> chunks);

  [[nodiscard]] std::uint64_t size() const { return size_; }  // bytes
  [[nodiscard]] std::uint8_t extent_shift() const { return extent_shift_; }
  [[nodiscard]] std::uint64_t extent_count() const;
  /// How most of it was stored.
  [[nodiscard]] bool has_batches() const { return !batches_.empty(); }
  [[nodiscard]] bool is_compressed() const { return compressed_; }

  /// Half-open place of an extent in the segment.
  [[nodiscard]] std::uint64_t extent_begin(std::uint64_t index) const { return index << extent_shift_; }
  [[nodiscard]] std::uint64_t extent_end(std::uint64_t index) const;

  /// Fills `out` with an extent and verifies it. Of an extent of zeros that the file holds no bytes for,
  /// `out` stays empty. Returns why the extent is lost, or nothing when it is not. Errors: Io.
  /// `cursor` is what a thread keeps from one call to the next.
  [[nodiscard]] Result<std::optional<std::string>> read(std::uint64_t index, ByteVector& out,
                                                        RemainsCursor& cursor) const;

 private:
  struct Batch {
    const ChunkRecord* chunk;
    ExtentBatch extents;
  };

  SegmentRemains(const File& file, std::uint64_t size) : file_(&file), size_(size) {}

  [[nodiscard]] Result<void> add(const ChunkRecord& chunk);
  [[nodiscard]] Result<void> add_flat(const ChunkRecord& chunk);
  [[nodiscard]] Result<void> add_batch(const ChunkRecord& chunk);
  /// Keeps `error` as the reason for what is missing, unless it is of the host.
  [[nodiscard]] Result<void> leave_out(Error error);
  /// The batch with byte `at` of the segment, or nullptr.
  [[nodiscard]] const Batch* batch_at(std::uint64_t at) const;
  /// The leaf of an extent, if it is known.
  [[nodiscard]] std::optional<std::uint64_t> leaf(std::uint64_t index) const;
  [[nodiscard]] Result<bool> is_hole(std::uint64_t index, RemainsCursor& cursor) const;
  /// Errors: Io; Truncated, Corrupt (the bytes are not there): their sentence is the reason.
  [[nodiscard]] Result<void> read_bytes(std::uint64_t begin, MutableByteView out) const;
  [[nodiscard]] Result<void> read_data(const Batch& batch, std::uint64_t data_offset,
                                       MutableByteView out) const;

  const File* file_;
  std::uint64_t size_;
  std::uint8_t extent_shift_ = 0;  // 0: no chunk has told it yet
  std::uint64_t zero_leaf_ = 0;    // of a whole extent
  bool compressed_ = false;
  std::string why_missing_;  // what is wrong with a chunk that was left out
  const ChunkRecord* flat_ = nullptr;
  FlatRamMeta flat_meta_;
  std::vector<Batch> batches_;  // rising, without overlap
};

}  // namespace vmsnap
