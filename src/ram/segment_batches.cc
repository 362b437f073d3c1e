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
  StoredBatch stored{&chunk, std::move(batch)};
  if (!batches_.empty()) {
    const StoredBatch& last = batches_.back();
    stored.data_before = last.data_before + last.batch.meta().data_bytes();
    stored.runs_before = last.runs_before + last.batch.meta().runs.size();
  }
  batches_.push_back(std::move(stored));
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

std::uint64_t SegmentBatches::data_before(std::uint64_t at) const {
  const StoredBatch& stored = this->at(at);
  return stored.data_before + stored.batch.data_before(at);
}

std::uint64_t SegmentBatches::run_at(std::uint64_t at) const {
  const StoredBatch& stored = this->at(at);
  return stored.runs_before + stored.batch.run_at(at);
}

Result<void> SegmentBatches::check_duplicates(const StoredBatch& stored) {
  std::uint64_t end = stored.batch.begin();
  for (const PageRun& run : stored.batch.meta().runs) {
    const std::uint64_t size = run.pages * kPageSize;
    end += size;
    std::uint64_t pieces = 1;
    if (run.kind == PageRunKind::kDuplicate) {
      // By counting, not by a walk over what is repeated: many duplicates of many runs would make that long.
      if (data_before(run.source + size) - data_before(run.source) != size) {
        return Error(ErrorKind::kCorrupt, fmt::format("the pages up to {:#x} repeat {} bytes from {:#x}, "
                                                      "where no data is or not all the way",
                                                      end, size, run.source))
            .at_offset(stored.chunk->meta_offset())
            .in_chunk(stored.chunk->name())
            .in_field("runs.source");
      }
      pieces = run_at(run.source + size - 1) - run_at(run.source) + 1;
    }
    pieces_ = std::min(pieces_ + pieces, kManyPieces);
  }
  return {};
}

}  // namespace vmsnap
