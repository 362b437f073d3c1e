// SPDX-License-Identifier: BSD-2-Clause
// A RAME chunk of an open file, indexed so that any byte of it is found at once.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "container/chunk_reader.h"
#include "ram/extent_ram.h"

namespace vmsnap {

/// Where the content of one block of a compressed body is.
struct DataBlock {
  std::uint64_t data_offset = 0;   // of its first byte in the data of the batch
  std::uint64_t body_offset = 0;   // of its bytes in the body
  std::uint32_t content_size = 0;  // bytes
  std::uint32_t encoded_size = 0;  // bytes; equal to content_size when it is not compressed
};

/// A decoded batch. *Data* is the concatenation of its data pages.
class ExtentBatch {
 public:
  /// A stretch of one run: where the bytes are that belong to `size` bytes of the segment.
  struct Piece {
    PageRunKind kind = PageRunKind::kZero;
    std::uint64_t size = 0;         // bytes
    std::uint64_t data_offset = 0;  // of data
    std::uint64_t source = 0;       // of a duplicate: offset in the segment
  };

  /// Indexes a meta that decode_extent_ram() has accepted.
  ExtentBatch(ExtentRamMeta meta, std::uint64_t segment_size, Codec codec);

  /// Reads and verifies the meta of a RAME chunk of a segment of `segment_size` bytes, and its leaves against
  /// the body hash. Errors: Io, Corrupt, Unsupported, LimitExceeded.
  [[nodiscard]] static Result<ExtentBatch> read(const File& file, const ChunkRecord& chunk,
                                                std::uint64_t segment_size);

  /// The same from a meta whose hash is verified. Errors: Corrupt, Unsupported, LimitExceeded, with chunk and
  /// offset.
  [[nodiscard]] static Result<ExtentBatch> decode(const ChunkRecord& chunk, ByteView meta,
                                                  std::uint64_t segment_size);

  [[nodiscard]] const ExtentRamMeta& meta() const { return meta_; }
  [[nodiscard]] Codec codec() const { return codec_; }
  [[nodiscard]] std::uint64_t begin() const { return begin_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }

  /// The piece that begins at byte `at` of the segment, which lies in [begin(), end()); at most `limit`
  /// bytes.
  [[nodiscard]] Piece piece_at(std::uint64_t at, std::uint64_t limit) const;

  /// Bytes of data before byte `at` of the segment, which lies in [begin(), end()].
  [[nodiscard]] std::uint64_t data_before(std::uint64_t at) const;
  /// Where in the segment the byte of data belongs that has this offset.
  [[nodiscard]] std::uint64_t place_of(std::uint64_t data_offset) const;
  /// Number in the meta of the run with byte `at` of the segment, which lies in [begin(), end()).
  [[nodiscard]] std::size_t run_at(std::uint64_t at) const;

  /// The blocks of a compressed body in order, and the one that holds a byte of data.
  [[nodiscard]] const std::vector<DataBlock>& blocks() const { return blocks_; }
  [[nodiscard]] const DataBlock& block_of(std::uint64_t data_offset) const;

 private:
  ExtentRamMeta meta_;
  Codec codec_;
  std::uint64_t begin_;
  std::uint64_t end_;
  std::vector<std::uint64_t> run_begin_;  // in the segment
  std::vector<std::uint64_t> run_data_;   // data before the run
  std::vector<DataBlock> blocks_;
};

}  // namespace vmsnap
