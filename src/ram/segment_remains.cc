// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_remains.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "format/constants.h"
#include "format/digest.h"
#include "ram/block_codec.h"

namespace vmsnap {

Result<SegmentRemains> SegmentRemains::open(const File& file, std::uint64_t size,
                                            std::span<const ChunkRecord* const> chunks) {
  SegmentRemains remains(file, size);
  for (const ChunkRecord* chunk : chunks) VMSNAP_RETURN_IF_ERROR(remains.add(*chunk));
  if (remains.extent_shift_ == 0) {
    VMSNAP_ASSIGN_OR_RETURN(remains.extent_shift_, choose_extent_shift(size));
  }
  remains.zero_leaf_ = zero_hash(std::uint64_t{1} << remains.extent_shift_);
  return remains;
}

Result<void> SegmentRemains::add(const ChunkRecord& chunk) {
  if (auto error = unsupported_flags(chunk.header)) return leave_out(std::move(*error));
  return chunk.header.type == kChunkFlatRam ? add_flat(chunk) : add_batch(chunk);
}

Result<void> SegmentRemains::add_flat(const ChunkRecord& chunk) {
  if (extent_shift_ != 0) return {};  // an honest file has no other chunk of the segment
  if (chunk.header.body_size != size_) {
    return leave_out(Error(ErrorKind::kCorrupt, "its chunk has another size than the segment"));
  }
  auto meta = read_flat_ram_meta(*file_, chunk);
  if (!meta) return leave_out(std::move(meta).error());
  flat_ = &chunk;
  flat_meta_ = std::move(*meta);
  extent_shift_ = flat_meta_.extent_shift;
  return {};
}

Result<void> SegmentRemains::add_batch(const ChunkRecord& chunk) {
  auto batch = ExtentBatch::read(*file_, chunk, size_);
  if (!batch) return leave_out(std::move(batch).error());
  const bool first = extent_shift_ == 0;
  const bool fits = !batches_.empty() && batch->meta().extent_shift == extent_shift_ &&
                    batch->begin() >= batches_.back().extents.end();
  if (!first && !fits) {
    return leave_out(Error(ErrorKind::kCorrupt, "its chunks contradict each other"));
  }
  extent_shift_ = batch->meta().extent_shift;
  compressed_ = compressed_ || batch->codec() != Codec::kNone;
  batches_.push_back({&chunk, std::move(*batch)});
  return {};
}

Result<void> SegmentRemains::leave_out(Error error) {
  if (error.kind() == ErrorKind::kIo) return error;
  if (why_missing_.empty()) why_missing_ = error.message();
  return {};
}

std::uint64_t SegmentRemains::extent_count() const {
  return vmsnap::extent_count(size_, extent_shift_);
}

std::uint64_t SegmentRemains::extent_end(std::uint64_t index) const {
  return std::min(size_, (index + 1) << extent_shift_);
}

const SegmentRemains::Batch* SegmentRemains::batch_at(std::uint64_t at) const {
  const auto next =
      std::upper_bound(batches_.begin(), batches_.end(), at,
                       [](std::uint64_t offset, const Batch& b) { return offset < b.extents.begin(); });
  if (next == batches_.begin()) return nullptr;
  const Batch& batch = *std::prev(next);
  return at < batch.extents.end() ? &batch : nullptr;
}

std::optional<std::uint64_t> SegmentRemains::leaf(std::uint64_t index) const {
  if (flat_ != nullptr) return flat_meta_.leaves[index];
  const Batch* batch = batch_at(extent_begin(index));
  if (batch == nullptr) return std::nullopt;
  return batch->extents.meta().leaves[index - batch->extents.meta().first_extent];
}

Result<bool> SegmentRemains::is_hole(std::uint64_t index, RemainsCursor& cursor) const {
  const std::uint64_t begin = extent_begin(index);
  const std::uint64_t end = extent_end(index);
  if (flat_ == nullptr) {
    const ExtentBatch::Piece piece = batch_at(begin)->extents.piece_at(begin, end - begin);
    return piece.kind == PageRunKind::kZero && piece.size == end - begin;
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file_->size());
  const std::uint64_t from = flat_->body_offset() + begin;
  const std::uint64_t to = flat_->body_offset() + end;
  // What was cut off is no hole.
  if (to > file_size) return false;
  if (from < cursor.asked_from || from >= cursor.data.end) {
    VMSNAP_ASSIGN_OR_RETURN(const auto data, file_->next_data(from, file_size));
    cursor.asked_from = from;
    cursor.data = data.value_or(FileRange{file_size, file_size});
  }
  return to <= cursor.data.begin;
}

Result<std::optional<std::string>> SegmentRemains::read(std::uint64_t index, ByteVector& out,
                                                        RemainsCursor& cursor) const {
  using Lost = std::optional<std::string>;
  out.clear();
  const std::uint64_t begin = extent_begin(index);
  const std::uint64_t size = extent_end(index) - begin;
  const auto expected = leaf(index);
  if (!expected) return Lost(why_missing_.empty() ? "no chunk with it was found" : why_missing_);
  VMSNAP_ASSIGN_OR_RETURN(const bool hole, is_hole(index, cursor));
  if (hole) {
    const bool whole = size == std::uint64_t{1} << extent_shift_;
    if ((whole ? zero_leaf_ : zero_hash(size)) == *expected) return Lost();
    return Lost("its bytes do not match their hash");
  }
  out.resize(size);
  if (auto done = read_bytes(begin, out); !done) {
    if (done.error().kind() == ErrorKind::kIo) return std::move(done).error();
    return Lost(done.error().message());
  }
  if (xxh3_64(out) == *expected) return Lost();
  return Lost("its bytes do not match their hash");
}

Result<void> SegmentRemains::read_bytes(std::uint64_t begin, MutableByteView out) const {
  if (flat_ != nullptr) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file_->size());
    if (flat_->body_offset() + begin + out.size() > file_size) {
      return Error(ErrorKind::kTruncated, "the file ends before its bytes do");
    }
    return file_->read_at(flat_->body_offset() + begin, out);
  }
  while (!out.empty()) {
    const Batch& batch = *batch_at(begin);
    const ExtentBatch::Piece piece = batch.extents.piece_at(begin, out.size());
    const MutableByteView place = out.first(piece.size);
    if (piece.kind == PageRunKind::kData) {
      VMSNAP_RETURN_IF_ERROR(read_data(batch, piece.data_offset, place));
    } else if (piece.kind == PageRunKind::kZero) {
      std::memset(place.data(), 0, place.size());
    } else {
      for (std::uint64_t done = 0; done < place.size();) {
        const Batch* origin = batch_at(piece.source + done);
        if (origin == nullptr) return Error(ErrorKind::kCorrupt, "what it repeats is lost");
        const std::uint64_t limit =
            std::min(place.size() - done, origin->extents.end() - piece.source - done);
        const ExtentBatch::Piece source = origin->extents.piece_at(piece.source + done, limit);
        // In an honest file what is repeated is data.
        if (source.kind != PageRunKind::kData)
          return Error(ErrorKind::kCorrupt, "what it repeats is no data");
        VMSNAP_RETURN_IF_ERROR(read_data(*origin, source.data_offset, place.subspan(done, source.size)));
        done += source.size;
      }
    }
    out = out.subspan(piece.size);
    begin += piece.size;
  }
  return {};
}

Result<void> SegmentRemains::read_data(const Batch& batch, std::uint64_t data_offset,
                                       MutableByteView out) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file_->size());
  const auto read_at = [&](std::uint64_t body_offset, MutableByteView place) -> Result<void> {
    const std::uint64_t at = batch.chunk->body_offset() + body_offset;
    if (at > file_size || place.size() > file_size - at) {
      return Error(ErrorKind::kTruncated, "the file ends before its bytes do");
    }
    return file_->read_at(at, place);
  };
  if (batch.extents.codec() == Codec::kNone) return read_at(data_offset, out);
  ByteVector encoded;
  ByteVector content;
  while (!out.empty()) {
    const DataBlock& block = batch.extents.block_of(data_offset);
    encoded.resize(block.encoded_size);
    VMSNAP_RETURN_IF_ERROR(read_at(block.body_offset, encoded));
    if (block.encoded_size == block.content_size) {
      content = encoded;
    } else {
      content.resize(block.content_size);
      if (!decompress_block(encoded, content)) {
        return Error(ErrorKind::kCorrupt, "a block of it does not decompress");
      }
    }
    const std::uint64_t skipped = data_offset - block.data_offset;
    const std::uint64_t size = std::min<std::uint64_t>(out.size(), block.content_size - skipped);
    std::memcpy(out.data(), content.data() + skipped, size);
    out = out.subspan(size);
    data_offset += size;
  }
  return {};
}

}  // namespace vmsnap
