// SPDX-License-Identifier: BSD-2-Clause
// A memory segment of an open snapshot, whatever its encoding: the logical view.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mapping.h"
#include "base/result.h"
#include "container/chunk_reader.h"
#include "ram/segment_metas.h"

namespace vmsnap {

/// What a thread that reads from a SegmentReader keeps from one call to the next.
struct SegmentCursor {
  ByteVector encoded;                   // a block as it is in the file
  ByteVector block;                     // its content
  const DataBlock* held = nullptr;      // which block that is
  std::vector<MutableByteView> places;  // for adjacent bytes of the file
  // Of a flat body: [asked_from, data.begin) of the file is a hole, [data.begin, data.end) is not.
  std::uint64_t asked_from = 0;
  FileRange data;
};

/// The extents of one segment: where their bytes are, and whether they are what was saved. Const member
/// functions are thread-safe, each thread with a cursor of its own.
class SegmentReader {
 public:
  /// `chunks` are all RAM chunks of the segment in the order of the file: one RAMF, or RAME chunks that
  /// together hold every extent once. Reads and verifies their metas. `file` and the chunks must outlive
  /// the result. Errors: Io; Corrupt; Unsupported; LimitExceeded.
  [[nodiscard]] static Result<SegmentReader> open(const File& file, std::uint32_t segment, std::uint64_t size,
                                                  std::span<const ChunkRecord* const> chunks);
  /// Of metas that are complete. `file` and what the metas refer to must outlive it. Copies share the metas.
  SegmentReader(const File& file, std::shared_ptr<const SegmentMetas> metas)
      : file_(&file), metas_(std::move(metas)) {}

  [[nodiscard]] std::uint64_t size() const { return metas_->size(); }  // bytes
  [[nodiscard]] std::uint8_t extent_shift() const { return metas_->extent_shift(); }
  /// XXH3-64 of each extent, in order.
  [[nodiscard]] std::span<const std::uint64_t> leaves() const { return metas_->leaves(); }
  /// Bytes of pages that are stored, before compression and without duplicates.
  [[nodiscard]] std::uint64_t data_bytes() const { return metas_->data_bytes(); }
  [[nodiscard]] bool is_compressed() const { return metas_->is_compressed(); }

  /// Half-open place of an extent in the segment.
  [[nodiscard]] std::uint64_t extent_begin(std::uint64_t index) const { return index << extent_shift(); }
  [[nodiscard]] std::uint64_t extent_end(std::uint64_t index) const;

  /// True when the file says, without holding bytes for it, that the whole extent is zero. Errors: Io,
  /// Truncated.
  [[nodiscard]] Result<bool> is_hole(std::uint64_t index, SegmentCursor& cursor) const;

  /// Fills `out` with the bytes of the segment from `begin` (page-aligned, whole pages, inside the segment).
  /// With `out_is_zero`, the caller promises that `out` is zero already, and pages that are need not be
  /// touched. The bytes are not verified. Errors: Io, Truncated; Corrupt (a block does not decompress).
  [[nodiscard]] Result<void> read(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                  SegmentCursor& cursor) const;

  /// Compares the hash of `bytes`, the content of an extent, with its leaf. Errors: Corrupt, naming the place
  /// in the segment.
  [[nodiscard]] Result<void> verify_bytes(std::uint64_t index, ByteView bytes) const;
  /// The same for an extent that is zero, without bytes to look at.
  [[nodiscard]] Result<void> verify_zero(std::uint64_t index) const;
  /// Verifies an extent against its leaf without a buffer for all of it. Errors: as read() and
  /// verify_bytes().
  [[nodiscard]] Result<void> verify_extent(std::uint64_t index, SegmentCursor& cursor) const;

  /// Where the file has the segment as it is in memory; nullopt where it is not flat.
  [[nodiscard]] std::optional<FilePlace> place() const;
  /// True when map() can do it: the bytes are in the file as they are in memory, in not too many pieces.
  [[nodiscard]] bool is_mappable() const;
  /// Private, writable mapping of the whole segment; nothing is read. As long as it lives nobody may shorten
  /// the file: touching what is gone kills the process. Errors: Io; Truncated (the file became shorter since
  /// it was opened); Usage (not mappable).
  [[nodiscard]] Result<Mapping> map() const;

 private:
  /// The chunk of a flat segment, else nullptr.
  [[nodiscard]] const ChunkRecord* flat() const { return metas_->flat(); }
  [[nodiscard]] const StoredBatch& batch_at(std::uint64_t at) const { return metas_->batches().at(at); }
  [[nodiscard]] Result<void> read_flat(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                       SegmentCursor& cursor) const;
  [[nodiscard]] Result<void> read_extents(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                          SegmentCursor& cursor) const;
  [[nodiscard]] Result<void> read_blocks(const StoredBatch& stored, std::uint64_t data_offset,
                                         MutableByteView out, SegmentCursor& cursor) const;
  /// Errors: Io; Truncated (the file became shorter since it was opened).
  [[nodiscard]] Result<void> check_file_reaches(std::uint64_t end) const;
  /// Brings what `cursor` knows of holes to where it tells about byte `at` of the file.
  [[nodiscard]] Result<void> look_for_data(std::uint64_t at, SegmentCursor& cursor) const;
  [[nodiscard]] Error bad_extent(std::uint64_t index) const;

  const File* file_;
  std::shared_ptr<const SegmentMetas> metas_;
};

/// The digest of what guest memory holds, the same in every encoding: XXH3-128 over, for each segment in
/// order, its size and extent_shift as 64-bit numbers and its leaves (docs/format.md, section 9.3).
[[nodiscard]] Digest128 memory_digest(std::span<const SegmentReader> segments);

}  // namespace vmsnap
