// SPDX-License-Identifier: BSD-2-Clause
#include "ram/streamed_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/hash.h"
#include "ram/damage.h"
#include "ram/scatter.h"

namespace vmsnap {
namespace {

// An extent of a flat body is made room for as its bytes come: how large it is, a hostile stream just claims.
constexpr std::size_t kFlatPiece = 4u << 20;

Error in_chunk(Error error, const ChunkRecord& chunk) {
  return std::move(error.in_chunk(chunk.name()));
}

/// What the extent [begin, end) of a batch consists of, beside zeros; adjacent pieces are one.
void find_runs(const ExtentBatch& batch, std::uint64_t begin, std::uint64_t end, std::vector<ByteRange>& data,
               std::vector<PageRepeat>& repeats) {
  data.clear();
  repeats.clear();
  while (begin < end) {
    const ExtentBatch::Piece piece = batch.piece_at(begin, end - begin);
    const std::uint64_t piece_end = begin + piece.size;
    if (piece.kind == PageRunKind::kData) {
      if (!data.empty() && data.back().end == begin) {
        data.back().end = piece_end;
      } else {
        data.push_back({begin, piece_end});
      }
    } else if (piece.kind == PageRunKind::kDuplicate) {
      if (!repeats.empty() && repeats.back().end == begin &&
          begin - repeats.back().begin == piece.source - repeats.back().source) {
        repeats.back().end = piece_end;
      } else {
        repeats.push_back({begin, piece_end, piece.source});
      }
    }
    begin = piece_end;
  }
}

}  // namespace

StreamedSource::StreamedSource(StreamSource& stream, std::uint32_t id, std::uint64_t size,
                               std::uint8_t extent_shift, Options options)
    : ExtentSource(size, extent_shift),
      stream_(stream),
      options_(std::move(options)),
      zero_leaf_(zero_hash(std::uint64_t{1} << extent_shift)),
      batches_(id, size) {}

Result<std::unique_ptr<StreamedSource>> StreamedSource::open(StreamSource& stream, const ChunkRecord& chunk,
                                                             ByteView meta, std::uint64_t size,
                                                             Options options) {
  const auto make = [&](std::uint8_t extent_shift) {
    return std::unique_ptr<StreamedSource>(
        new StreamedSource(stream, chunk.header.instance, size, extent_shift, std::move(options)));
  };
  if (chunk.header.type == kChunkFlatRam) {
    VMSNAP_ASSIGN_OR_RETURN(FlatRamMeta flat, decode_flat_ram(chunk, meta));
    std::unique_ptr<StreamedSource> source = make(flat.extent_shift);
    source->chunks_.push_back(chunk);
    source->flat_ = std::move(flat);
    return source;
  }
  VMSNAP_ASSIGN_OR_RETURN(ExtentBatch batch, ExtentBatch::decode(chunk, meta, size));
  std::unique_ptr<StreamedSource> source = make(batch.meta().extent_shift);
  VMSNAP_RETURN_IF_ERROR(source->add_batch(chunk, std::move(batch)));
  return source;
}

Result<void> StreamedSource::add(const ChunkRecord& chunk, ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(ExtentBatch batch, ExtentBatch::decode(chunk, meta, size()));
  return add_batch(chunk, std::move(batch));
}

Result<void> StreamedSource::add_batch(const ChunkRecord& chunk, ExtentBatch batch) {
  next_block_ = 0;
  return batches_.add(chunks_.emplace_back(chunk), std::move(batch));
}

Result<bool> StreamedSource::has(std::uint64_t index) {
  if (index >= extent_count()) return false;
  while (!flat_ && extent_begin(index) >= batches_.all().back().batch.end()) {
    VMSNAP_ASSIGN_OR_RETURN(const bool more, options_.next_chunk());
    if (!more) return false;
  }
  return true;
}

Result<void> StreamedSource::scan(std::uint64_t index, Extent& extent) {
  extent.begin = extent_begin(index);
  extent.end = extent_end(index);
  extent.leaf = leaf(index);
  VMSNAP_RETURN_IF_ERROR(flat_ ? scan_flat(extent) : scan_batch(extent));
  next_ = index + 1;
  return {};
}

Result<void> StreamedSource::scan_flat(Extent& extent) {
  const std::size_t size = extent.end - extent.begin;
  extent.storage.resize(std::min(size, extent.storage.size()));
  for (std::size_t at = 0; at < size;) {
    const std::size_t piece = std::min(kFlatPiece, size - at);
    if (extent.storage.size() < at + piece) extent.storage.resize(at + piece);
    if (auto read = stream_.read(MutableByteView(extent.storage).subspan(at, piece)); !read) {
      return in_chunk(std::move(read).error(), chunks_.back());
    }
    at += piece;
  }
  extent.bytes = extent.storage;
  VMSNAP_RETURN_IF_ERROR(verify(extent, xxh3_64(extent.bytes)));
  find_data(extent);
  return {};
}

Result<void> StreamedSource::scan_batch(Extent& extent) {
  const StoredBatch& stored = batches_.all().back();
  find_runs(stored.batch, extent.begin, extent.end, extent.data, extent.repeats);
  if (!extent.data.empty()) VMSNAP_RETURN_IF_ERROR(read_data(stored, extent));
  if (extent.repeats.empty()) {
    return verify(extent, extent.data.empty() ? zero_leaf(extent) : xxh3_64(extent.bytes));
  }
  if (is_repetition(extent)) return {};
  if (!options_.allow_unproven) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("{} bytes of guest memory from {:#x} of segment {} repeat single pages from "
                             "before, which a stream has no more; write to a file first",
                             extent.end - extent.begin, extent.begin, stored.chunk->header.instance))
        .at_offset(stored.chunk->offset)
        .in_chunk(stored.chunk->name());
  }
  unproven_.push_back(extent.begin >> extent_shift());
  return {};
}

Result<void> StreamedSource::read_data(const StoredBatch& stored, Extent& extent) {
  extent.storage.resize(extent.end - extent.begin);
  extent.bytes = extent.storage;
  std::vector<MutableByteView> places;
  std::size_t filled = 0;
  for (const ByteRange& range : extent.data) {
    const std::size_t begin = range.begin - extent.begin;
    std::memset(extent.storage.data() + filled, 0, begin - filled);
    filled = range.end - extent.begin;
    places.push_back(MutableByteView(extent.storage).subspan(begin, filled - begin));
  }
  std::memset(extent.storage.data() + filled, 0, extent.storage.size() - filled);
  const ChunkRecord& chunk = *stored.chunk;
  if (stored.batch.codec() == Codec::kNone) {
    if (auto read = stream_.read(places); !read) return in_chunk(std::move(read).error(), chunk);
    return {};
  }
  Scatter scatter(std::move(places));
  for (std::uint64_t left = extent.data_bytes(); left > 0; ++next_block_) {
    const DataBlock& block = stored.batch.blocks()[next_block_];
    encoded_.resize(block.encoded_size);
    if (auto read = stream_.read(encoded_); !read) return in_chunk(std::move(read).error(), chunk);
    VMSNAP_RETURN_IF_ERROR(place_block(stored, block, encoded_, scatter, block_));
    left -= block.content_size;
  }
  return {};
}

bool StreamedSource::is_repetition(const Extent& extent) const {
  if (!extent.data.empty()) return false;
  const PageRepeat& first = extent.repeats.front();
  const std::uint64_t distance = first.begin - first.source;
  if (distance > extent.begin || distance % (std::uint64_t{1} << extent_shift()) != 0) return false;
  const std::uint64_t begin = extent.begin - distance;
  const std::uint64_t end = extent.end - distance;
  const std::uint64_t index = begin >> extent_shift();
  if (end != extent_end(index) || leaf(index) != extent.leaf) return false;
  std::vector<ByteRange> data;
  std::vector<PageRepeat> repeats;
  find_runs(batches_.at(begin).batch, begin, end, data, repeats);
  return repeats.empty() && std::equal(data.begin(), data.end(), extent.repeats.begin(), extent.repeats.end(),
                                       [&](const ByteRange& range, const PageRepeat& repeat) {
                                         return range.begin == repeat.source &&
                                                range.begin + distance == repeat.begin &&
                                                range.end + distance == repeat.end;
                                       });
}

Result<void> StreamedSource::check_complete() const {
  if (flat_) return {};
  return batches_.check_complete();
}

std::uint64_t StreamedSource::leaf(std::uint64_t index) const {
  if (flat_) return flat_->leaves[index];
  const ExtentRamMeta& meta = batches_.at(extent_begin(index)).batch.meta();
  return meta.leaves[index - meta.first_extent];
}

std::uint64_t StreamedSource::zero_leaf(const Extent& extent) const {
  const std::uint64_t size = extent.end - extent.begin;
  return size == std::uint64_t{1} << extent_shift() ? zero_leaf_ : zero_hash(size);
}

Result<void> StreamedSource::verify(const Extent& extent, std::uint64_t hash) const {
  if (hash == extent.leaf) return {};
  return damaged(extent.begin >> extent_shift());
}

Error StreamedSource::damaged(std::uint64_t index) const {
  const std::uint64_t begin = extent_begin(index);
  if (flat_) return extent_damaged(chunks_.front(), begin, extent_end(index));
  return extent_damaged(batches_.at(begin), begin, extent_end(index));
}

void StreamedSource::add_to(MemoryHasher& hasher) const {
  hasher.add_segment(size(), extent_shift());
  if (flat_) hasher.add_leaves(flat_->leaves);
  for (const StoredBatch& stored : batches_.all()) hasher.add_leaves(stored.batch.meta().leaves);
}

}  // namespace vmsnap
