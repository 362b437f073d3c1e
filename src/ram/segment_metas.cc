// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_metas.h"

#include <fmt/format.h>

#include "format/digest.h"
#include "ram/flat_ram.h"

namespace vmsnap {

SegmentMetas::SegmentMetas(std::uint32_t segment, std::uint64_t size)
    : segment_(segment), size_(size), batches_(segment, size) {}

Result<void> SegmentMetas::add(const ChunkRecord& chunk, ByteView meta) {
  const bool first = leaves_.empty();
  if (chunk.header.type == kChunkFlatRam) {
    VMSNAP_ASSIGN_OR_RETURN(FlatRamMeta flat, decode_flat_ram(chunk, meta));
    flat_ = &chunk;
    extent_shift_ = flat.extent_shift;
    data_bytes_ = flat.data_bytes;
    leaves_ = std::move(flat.leaves);
  } else {
    VMSNAP_ASSIGN_OR_RETURN(ExtentBatch batch, ExtentBatch::decode(chunk, meta, size_));
    const ExtentRamMeta& extents = batch.meta();
    extent_shift_ = extents.extent_shift;
    data_bytes_ += extents.data_bytes();
    compressed_ = compressed_ || batch.codec() != Codec::kNone;
    leaves_.insert(leaves_.end(), extents.leaves.begin(), extents.leaves.end());
    VMSNAP_RETURN_IF_ERROR(batches_.add(chunk, std::move(batch)));
  }
  if (first) zero_leaf_ = zero_hash(std::uint64_t{1} << extent_shift_);
  return {};
}

Result<void> SegmentMetas::check_complete() const {
  if (leaves_.empty())
    return Error(ErrorKind::kCorrupt, fmt::format("no chunk holds memory segment {}", segment_));
  return flat_ != nullptr ? Result<void>{} : batches_.check_complete();
}

}  // namespace vmsnap
