// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_filler.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/hash.h"
#include "format/constants.h"
#include "format/digest.h"
#include "ram/damage.h"
#include "ram/scatter.h"

namespace vmsnap {
namespace {

// A flat body is read in parts of about this size, so that hashing keeps up with reading.
constexpr std::uint64_t kFlatPart = 4u << 20;
// A compressed body is held whole while it is decoded, unless it is larger than any that we write.
constexpr std::uint64_t kMaxHeldBody = 32u << 20;

/// The places in memory that the data of a batch fills, in order.
std::vector<MutableByteView> data_places(const ExtentBatch& batch, MutableByteView memory) {
  std::vector<MutableByteView> places;
  std::uint64_t at = batch.begin();
  for (const PageRun& run : batch.meta().runs) {
    const std::uint64_t size = run.pages * kPageSize;
    if (run.kind == PageRunKind::kData) places.push_back(memory.subspan(at, size));
    at += size;
  }
  return places;
}

/// What an extent of a batch consists of.
struct Kinds {
  bool data = false;
  bool duplicate = false;
};

Kinds kinds_of(const ExtentBatch& batch, std::uint64_t begin, std::uint64_t end) {
  Kinds kinds;
  while (begin < end) {
    const ExtentBatch::Piece piece = batch.piece_at(begin, end - begin);
    kinds.data = kinds.data || piece.kind == PageRunKind::kData;
    kinds.duplicate = kinds.duplicate || piece.kind == PageRunKind::kDuplicate;
    begin += piece.size;
  }
  return kinds;
}

}  // namespace

Result<void> SegmentFiller::map() {
  auto memory = Mapping::anonymous(size_);
  if (!memory) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("memory segment {} of {} bytes is more than this process can have: {}", id_,
                             size_, memory.error().message()));
  }
  memory_ = std::move(*memory);
  // Advice only: pages come faster in large ones.
  ::madvise(memory_.data(), memory_.size(), MADV_HUGEPAGE);
  return {};
}

Result<void> SegmentFiller::begin(const ChunkRecord& chunk, ByteView meta) {
  chunk_ = &chunk;
  std::uint8_t extent_shift = 0;
  if (chunk.header.type == kChunkFlatRam) {
    VMSNAP_ASSIGN_OR_RETURN(flat_, decode_flat_ram(chunk, meta));
    extent_shift = flat_->extent_shift;
    next_extent_ = 0;
  } else {
    VMSNAP_ASSIGN_OR_RETURN(ExtentBatch batch, ExtentBatch::decode(chunk, meta, size_));
    extent_shift = batch.meta().extent_shift;
    VMSNAP_RETURN_IF_ERROR(batches_.add(chunk, std::move(batch)));
    batch_is_read_ = false;
  }
  // Other threads are at work on the chunks before, so what they use is set once, with the first chunk; that
  // the others have extents of the same size is checked.
  if (memory_) return {};
  extent_shift_ = extent_shift;
  zero_leaf_ = zero_hash(std::uint64_t{1} << extent_shift_);
  return map();
}

Result<bool> SegmentFiller::read_part(StreamSource& source, Part& part) {
  part.filler = this;
  part.stored = nullptr;
  part.is_encoded = false;
  if (flat_) {
    if (next_extent_ == flat_->leaves.size()) return false;
    VMSNAP_RETURN_IF_ERROR(read_flat(source, part));
    part.bytes = std::min(size_, part.end_extent << extent_shift_) - (part.first_extent << extent_shift_);
    return true;
  }
  if (batch_is_read_) return false;
  batch_is_read_ = true;
  part.stored = &batches_.all().back();
  const ExtentRamMeta& meta = part.stored->batch.meta();
  part.first_extent = meta.first_extent;
  part.end_extent = meta.first_extent + meta.leaves.size();
  part.bytes = part.stored->batch.end() - part.stored->batch.begin();
  VMSNAP_RETURN_IF_ERROR(read_batch(source, part));
  return true;
}

Result<void> SegmentFiller::read_flat(StreamSource& source, Part& part) {
  part.first_extent = next_extent_;
  const std::uint64_t extents = std::max<std::uint64_t>(1, kFlatPart >> extent_shift_);
  part.end_extent = std::min<std::uint64_t>(flat_->leaves.size(), part.first_extent + extents);
  next_extent_ = part.end_extent;
  for (std::uint64_t i = part.first_extent; i < part.end_extent; ++i) {
    const MutableByteView place = extent(i);
    if (leaf(part, i) != zero_leaf(i)) {
      VMSNAP_RETURN_IF_ERROR(source.read(place));
      continue;
    }
    // What the file had as a hole comes as zeros: they must not cost memory here.
    for (std::size_t done = 0; done < place.size(); done += part.encoded.size()) {
      part.encoded.resize(std::min<std::size_t>(place.size() - done, std::size_t{1} << kMinExtentShift));
      VMSNAP_RETURN_IF_ERROR(source.read(part.encoded));
      if (!is_all_zero(part.encoded)) return bad_extent(part, i);
    }
  }
  return {};
}

Result<void> SegmentFiller::read_batch(StreamSource& source, Part& part) const {
  const StoredBatch& stored = *part.stored;
  std::vector<MutableByteView> places = data_places(stored.batch, memory_.bytes());
  if (stored.batch.codec() == Codec::kNone) return source.read(places);
  const std::uint64_t body_size = stored.chunk->header.body_size;
  if (body_size <= kMaxHeldBody) {
    part.encoded.resize(body_size);
    part.is_encoded = true;
    return source.read(part.encoded);
  }
  Scatter scatter(std::move(places));
  for (const DataBlock& block : stored.batch.blocks()) {
    part.encoded.resize(block.encoded_size);
    VMSNAP_RETURN_IF_ERROR(source.read(part.encoded));
    VMSNAP_RETURN_IF_ERROR(place_block(stored, block, part.encoded, scatter, part.block));
  }
  return {};
}

Result<void> SegmentFiller::work(Part& part) const {
  if (part.stored == nullptr) {
    for (std::uint64_t i = part.first_extent; i < part.end_extent; ++i) {
      // Those that are zero were looked at when they were read.
      if (leaf(part, i) != zero_leaf(i)) VMSNAP_RETURN_IF_ERROR(verify(part, i));
    }
    return {};
  }
  const StoredBatch& stored = *part.stored;
  if (part.is_encoded) {
    Scatter scatter(data_places(stored.batch, memory_.bytes()));
    for (const DataBlock& block : stored.batch.blocks()) {
      const ByteView encoded = ByteView(part.encoded).subspan(block.body_offset, block.encoded_size);
      VMSNAP_RETURN_IF_ERROR(place_block(stored, block, encoded, scatter, part.block));
    }
  }
  for (std::uint64_t i = part.first_extent; i < part.end_extent; ++i) {
    const std::uint64_t begin = i << extent_shift_;
    const Kinds kinds = kinds_of(stored.batch, begin, begin + extent(i).size());
    if (kinds.duplicate) continue;
    VMSNAP_RETURN_IF_ERROR(kinds.data ? verify(part, i) : verify_zero(part, i));
  }
  return {};
}

Result<void> SegmentFiller::settle(const Part& part) const {
  if (part.stored == nullptr) return {};
  const ExtentBatch& batch = part.stored->batch;
  bool any = false;
  std::uint64_t at = batch.begin();
  for (const PageRun& run : batch.meta().runs) {
    const std::uint64_t size = run.pages * kPageSize;
    if (run.kind == PageRunKind::kDuplicate) {
      std::copy_n(memory_.data() + run.source, size, memory_.data() + at);
      any = true;
    }
    at += size;
  }
  if (!any) return {};
  for (std::uint64_t i = part.first_extent; i < part.end_extent; ++i) {
    const std::uint64_t begin = i << extent_shift_;
    if (kinds_of(batch, begin, begin + extent(i).size()).duplicate) VMSNAP_RETURN_IF_ERROR(verify(part, i));
  }
  return {};
}

Result<void> SegmentFiller::check_complete() const {
  if (flat_) return {};
  return batches_.check_complete();
}

Result<void> SegmentFiller::verify(const Part& part, std::uint64_t index) const {
  if (xxh3_64(extent(index)) == leaf(part, index)) return {};
  return bad_extent(part, index);
}

Result<void> SegmentFiller::verify_zero(const Part& part, std::uint64_t index) const {
  if (zero_leaf(index) == leaf(part, index)) return {};
  return bad_extent(part, index);
}

Error SegmentFiller::bad_extent(const Part& part, std::uint64_t index) const {
  const std::uint64_t begin = index << extent_shift_;
  const std::uint64_t end = begin + extent(index).size();
  return part.stored != nullptr ? extent_damaged(*part.stored, begin, end)
                                : extent_damaged(*chunk_, begin, end);
}

std::uint64_t SegmentFiller::leaf(const Part& part, std::uint64_t index) const {
  if (part.stored == nullptr) return flat_->leaves[index];
  const ExtentRamMeta& meta = part.stored->batch.meta();
  return meta.leaves[index - meta.first_extent];
}

std::uint64_t SegmentFiller::zero_leaf(std::uint64_t index) const {
  const std::size_t size = extent(index).size();
  return size == std::size_t{1} << extent_shift_ ? zero_leaf_ : zero_hash(size);
}

MutableByteView SegmentFiller::extent(std::uint64_t index) const {
  const std::uint64_t begin = index << extent_shift_;
  return memory_.bytes().subspan(begin, std::min(size_ - begin, std::uint64_t{1} << extent_shift_));
}

}  // namespace vmsnap
