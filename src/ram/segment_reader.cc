// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_reader.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "format/constants.h"
#include "format/digest.h"
#include "ram/block_codec.h"
#include "ram/damage.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kPieceSize = 256u << 10;
// Half of what the kernel allows a process (vm.max_map_count), which has other mappings too.
constexpr std::size_t kMaxMappedRuns = 32'000;

}  // namespace

Result<SegmentReader> SegmentReader::open(const File& file, std::uint32_t segment, std::uint64_t size,
                                          std::span<const ChunkRecord* const> chunks) {
  const auto in_file = [&](Error error) { return std::move(error.in_file(file.name())); };
  auto metas = std::make_shared<SegmentMetas>(segment, size);
  for (const ChunkRecord* chunk : chunks) {
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, read_meta(file, *chunk));
    if (auto added = metas->add(*chunk, meta); !added) return in_file(std::move(added).error());
  }
  if (auto complete = metas->check_complete(); !complete) return in_file(std::move(complete).error());
  return SegmentReader(file, std::move(metas));
}

std::uint64_t SegmentReader::extent_end(std::uint64_t index) const {
  return std::min(size(), (index + 1) << extent_shift());
}

Result<bool> SegmentReader::is_hole(std::uint64_t index, SegmentCursor& cursor) const {
  const std::uint64_t begin = extent_begin(index);
  const std::uint64_t end = extent_end(index);
  if (flat() == nullptr) {
    const ExtentBatch::Piece piece = batch_at(begin).batch.piece_at(begin, end - begin);
    return piece.kind == PageRunKind::kZero && piece.size == end - begin;
  }
  VMSNAP_RETURN_IF_ERROR(look_for_data(flat()->body_offset() + begin, cursor));
  return cursor.data.begin >= flat()->body_offset() + end;
}

Result<void> SegmentReader::check_file_reaches(std::uint64_t end) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file_->size());
  if (file_size >= end) return {};
  return Error(ErrorKind::kTruncated,
               "the file became shorter since it was opened; do not change snapshots in place")
      .in_file(file_->name())
      .at_offset(file_size);
}

Result<void> SegmentReader::look_for_data(std::uint64_t at, SegmentCursor& cursor) const {
  if (cursor.asked_from <= at && at < cursor.data.end) return {};
  VMSNAP_ASSIGN_OR_RETURN(const auto data, file_->next_data(at, flat()->body_end()));
  // Where the file has ended nothing is stored either, but that is no hole.
  if (!data) VMSNAP_RETURN_IF_ERROR(check_file_reaches(flat()->body_end()));
  cursor.asked_from = at;
  cursor.data = data ? *data : FileRange{flat()->body_end(), flat()->body_end()};
  return {};
}

Result<void> SegmentReader::read(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                 SegmentCursor& cursor) const {
  if (flat() != nullptr) return read_flat(begin, out, out_is_zero, cursor);
  return read_extents(begin, out, out_is_zero, cursor);
}

Result<void> SegmentReader::read_flat(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                      SegmentCursor& cursor) const {
  std::uint64_t at = flat()->body_offset() + begin;
  while (!out.empty()) {
    VMSNAP_RETURN_IF_ERROR(look_for_data(at, cursor));
    const bool data = cursor.data.begin <= at;
    const std::uint64_t stop = std::min(at + out.size(), data ? cursor.data.end : cursor.data.begin);
    const MutableByteView piece = out.first(stop - at);
    if (data) {
      VMSNAP_RETURN_IF_ERROR(file_->read_at(at, piece));
    } else if (!out_is_zero) {
      std::memset(piece.data(), 0, piece.size());
    }
    out = out.subspan(piece.size());
    at = stop;
  }
  return {};
}

Result<void> SegmentReader::read_extents(std::uint64_t begin, MutableByteView out, bool out_is_zero,
                                         SegmentCursor& cursor) const {
  // The data pages of a batch are adjacent in the file, whatever lies between them in memory: one read.
  cursor.places.clear();
  std::uint64_t places_offset = 0;
  std::uint64_t places_end = 0;
  const auto read_places = [&]() -> Result<void> {
    auto result = file_->read_at(places_offset, cursor.places);
    cursor.places.clear();
    return result;
  };
  while (!out.empty()) {
    const StoredBatch& stored = batch_at(begin);
    const ExtentBatch::Piece piece =
        stored.batch.piece_at(begin, std::min<std::uint64_t>(out.size(), stored.batch.end() - begin));
    const MutableByteView place = out.first(piece.size);
    switch (piece.kind) {
      case PageRunKind::kData:
        if (stored.batch.codec() == Codec::kNone) {
          const std::uint64_t offset = stored.chunk->body_offset() + piece.data_offset;
          if (offset != places_end) VMSNAP_RETURN_IF_ERROR(read_places());
          if (cursor.places.empty()) places_offset = offset;
          cursor.places.push_back(place);
          places_end = offset + place.size();
        } else {
          VMSNAP_RETURN_IF_ERROR(read_blocks(stored, piece.data_offset, place, cursor));
        }
        break;
      case PageRunKind::kDuplicate:
        VMSNAP_RETURN_IF_ERROR(read_places());
        // Once at most: what is repeated is data.
        VMSNAP_RETURN_IF_ERROR(read_extents(piece.source, place, out_is_zero, cursor));
        break;
      default:
        if (!out_is_zero) std::memset(place.data(), 0, place.size());
        break;
    }
    out = out.subspan(piece.size);
    begin += piece.size;
  }
  return read_places();
}

Result<void> SegmentReader::read_blocks(const StoredBatch& stored, std::uint64_t data_offset,
                                        MutableByteView out, SegmentCursor& cursor) const {
  while (!out.empty()) {
    const DataBlock& block = stored.batch.block_of(data_offset);
    const std::uint64_t skipped = data_offset - block.data_offset;
    const MutableByteView place =
        out.first(std::min<std::uint64_t>(out.size(), block.content_size - skipped));
    const std::uint64_t file_offset = stored.chunk->body_offset() + block.body_offset;
    if (block.encoded_size == block.content_size) {
      VMSNAP_RETURN_IF_ERROR(file_->read_at(file_offset + skipped, place));
    } else {
      const bool whole = place.size() == block.content_size;
      if (whole || cursor.held != &block) {
        cursor.encoded.resize(block.encoded_size);
        VMSNAP_RETURN_IF_ERROR(file_->read_at(file_offset, cursor.encoded));
        if (!whole) {
          cursor.block.resize(kBlockSize);
          cursor.held = &block;
        }
        std::byte* target = whole ? place.data() : cursor.block.data();
        if (!decompress_block(cursor.encoded, MutableByteView(target, block.content_size))) {
          cursor.held = nullptr;
          return std::move(block_damaged(stored, block).in_file(file_->name()));
        }
      }
      if (!whole) std::memcpy(place.data(), cursor.block.data() + skipped, place.size());
    }
    out = out.subspan(place.size());
    data_offset += place.size();
  }
  return {};
}

Error SegmentReader::bad_extent(std::uint64_t index) const {
  const std::uint64_t begin = extent_begin(index);
  Error error = flat() != nullptr ? extent_damaged(*flat(), begin, extent_end(index))
                                  : extent_damaged(batch_at(begin), begin, extent_end(index));
  return std::move(error.in_file(file_->name()));
}

Result<void> SegmentReader::verify_bytes(std::uint64_t index, ByteView bytes) const {
  if (xxh3_64(bytes) == leaves()[index]) return {};
  return bad_extent(index);
}

Result<void> SegmentReader::verify_zero(std::uint64_t index) const {
  const std::uint64_t size = extent_end(index) - extent_begin(index);
  const bool whole = size == std::uint64_t{1} << extent_shift();
  if ((whole ? metas_->zero_leaf() : zero_hash(size)) == leaves()[index]) return {};
  return bad_extent(index);
}

Result<void> SegmentReader::verify_extent(std::uint64_t index, SegmentCursor& cursor) const {
  const std::uint64_t end = extent_end(index);
  Xxh3Stream stream;
  ByteVector piece;
  for (std::uint64_t at = extent_begin(index); at < end; at += piece.size()) {
    piece.resize(std::min(kPieceSize, end - at));
    VMSNAP_RETURN_IF_ERROR(read(at, piece, false, cursor));
    stream.update(piece);
  }
  if (stream.digest_64() == leaves()[index]) return {};
  return bad_extent(index);
}

std::optional<FilePlace> SegmentReader::place() const {
  if (flat() == nullptr) return std::nullopt;
  return FilePlace{file_, flat()->body_offset()};
}

bool SegmentReader::is_mappable() const {
  if (flat() != nullptr) return true;
  return !is_compressed() && metas_->batches().pieces() <= kMaxMappedRuns;
}

Result<Mapping> SegmentReader::map() const {
  if (!is_mappable()) {
    return Error(ErrorKind::kUsage,
                 "this memory cannot be mapped: it is compressed or too scattered in the file")
        .in_file(file_->name());
  }
  std::uint64_t needed = flat() != nullptr ? flat()->body_end() : 0;
  for (const StoredBatch& stored : metas_->batches().all())
    needed = std::max(needed, stored.chunk->body_end());
  VMSNAP_RETURN_IF_ERROR(check_file_reaches(needed));
  if (flat() != nullptr) return Mapping::private_copy(*file_, flat()->body_offset(), size());
  VMSNAP_ASSIGN_OR_RETURN(Mapping mapping, Mapping::anonymous(size()));
  for (const StoredBatch& stored : metas_->batches().all()) {
    for (std::uint64_t at = stored.batch.begin(); at < stored.batch.end();) {
      const ExtentBatch::Piece piece = stored.batch.piece_at(at, stored.batch.end() - at);
      std::uint64_t size = piece.size;
      if (piece.kind != PageRunKind::kZero) {
        const std::uint64_t from = piece.kind == PageRunKind::kData ? at : piece.source;
        const StoredBatch& origin = batch_at(from);
        const ExtentBatch::Piece data =
            origin.batch.piece_at(from, std::min(size, origin.batch.end() - from));
        size = data.size;
        VMSNAP_RETURN_IF_ERROR(
            mapping.overlay(at, *file_, origin.chunk->body_offset() + data.data_offset, size));
      }
      at += size;
    }
  }
  return mapping;
}

Digest128 memory_digest(std::span<const SegmentReader> segments) {
  MemoryHasher hasher;
  for (const SegmentReader& segment : segments) {
    hasher.add_segment(segment.size(), segment.extent_shift());
    hasher.add_leaves(segment.leaves());
  }
  return hasher.digest();
}

}  // namespace vmsnap
