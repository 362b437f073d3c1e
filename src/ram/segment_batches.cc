// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_batches.h"

#include <fmt/format.h>

#include <algorithm>

#include "format/constants.h"

namespace vmsnap {

Result<void> SegmentBatches::add(const ChunkRecord& chunk, ExtentBatch batch) {
  const auto corrupt = [&](std::string message) {
    return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(chunk.offset).in_chunk(chunk.name());
  };
  const std::uint8_t shift =
      batches_.empty() ? batch.meta().extent_shift : batches_.front().batch.meta().extent_shift;
  if (batch.meta().extent_shift != shift) {
    return corrupt(fmt::format("its extents have 2^{} bytes, those of the segment before it 2^{}",
                               batch.meta().extent_shift, shift));
  }
  if (batch.begin() != end_) {
    return corrupt(
        fmt::format("memory segment {} goes on at {:#x} and not at {:#x}", segment_, batch.begin(), end_));
  }
  end_ = batch.end();
  batches_.push_back({&chunk, std::move(batch)});
  return check_duplicates(batches_.back());
}

Result<void> SegmentBatches::check_complete() const {
  if (end_ == size_) return {};
  return Error(ErrorKind::kCorrupt,
               fmt::format("memory segment {} ends at {:#x} and not at {:#x}", segment_, end_, size_));
}

const StoredBatch& SegmentBatches::at(std::uint64_t at) const {
  const auto next =
      std::upper_bound(batches_.begin(), batches_.end(), at,
                       [](std::uint64_t offset, const StoredBatch& b) { return offset < b.batch.begin(); });
  return *std::prev(next);
}

Result<void> SegmentBatches::check_duplicates(const StoredBatch& stored) const {
  std::uint64_t end = stored.batch.begin();
  for (const PageRun& run : stored.batch.meta().runs) {
    const std::uint64_t size = run.pages * kPageSize;
    end += size;
    if (run.kind != PageRunKind::kDuplicate) continue;
    for (std::uint64_t source = run.source; source < run.source + size;) {
      const ExtentBatch& origin = at(source).batch;
      const std::uint64_t limit = std::min(run.source + size, origin.end()) - source;
      const ExtentBatch::Piece piece = origin.piece_at(source, limit);
      if (piece.kind != PageRunKind::kData) {
        return Error(ErrorKind::kCorrupt,
                     fmt::format("the pages up to {:#x} repeat what is at {:#x}, where no data is", end,
                                 source))
            .at_offset(stored.chunk->meta_offset())
            .in_chunk(stored.chunk->name())
            .in_field("runs.source");
      }
      source += piece.size;
    }
  }
  return {};
}

}  // namespace vmsnap
