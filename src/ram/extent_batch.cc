// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_batch.h"

#include <algorithm>

#include "format/constants.h"
#include "ram/ram_chunk.h"

namespace vmsnap {

ExtentBatch::ExtentBatch(ExtentRamMeta meta, std::uint64_t segment_size, Codec codec)
    : meta_(std::move(meta)), codec_(codec), begin_(meta_.begin()), end_(meta_.end(segment_size)) {
  run_begin_.reserve(meta_.runs.size());
  run_data_.reserve(meta_.runs.size());
  std::uint64_t at = begin_;
  std::uint64_t data = 0;
  for (const PageRun& run : meta_.runs) {
    run_begin_.push_back(at);
    run_data_.push_back(data);
    at += run.pages * kPageSize;
    if (run.kind == PageRunKind::kData) data += run.pages * kPageSize;
  }
  if (codec_ == Codec::kNone) return;
  blocks_.reserve(meta_.block_sizes.size());
  std::uint64_t body = 0;
  data = 0;
  for (const std::uint32_t content : block_contents(meta_)) {
    const std::uint32_t encoded = meta_.block_sizes[blocks_.size()];
    blocks_.push_back({data, body, content, encoded});
    data += content;
    body += encoded;
  }
}

Result<ExtentBatch> ExtentBatch::read(const File& file, const ChunkRecord& chunk,
                                      std::uint64_t segment_size) {
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, read_meta(file, chunk));
  auto batch = decode(chunk, bytes, segment_size);
  if (!batch) return std::move(std::move(batch).error().in_file(file.name()));
  return batch;
}

Result<ExtentBatch> ExtentBatch::decode(const ChunkRecord& chunk, ByteView bytes,
                                        std::uint64_t segment_size) {
  const auto codec = static_cast<Codec>(chunk.header.codec());
  VMSNAP_ASSIGN_OR_RETURN(
      ExtentRamMeta meta,
      checked_ram_meta(chunk, decode_extent_ram(bytes, segment_size, chunk.header.body_size, codec)));
  return ExtentBatch(std::move(meta), segment_size, codec);
}

ExtentBatch::Piece ExtentBatch::piece_at(std::uint64_t at, std::uint64_t limit) const {
  const std::size_t index = run_at(at);
  const PageRun& run = meta_.runs[index];
  const std::uint64_t inside = at - run_begin_[index];
  const std::uint64_t size = std::min(limit, run.pages * kPageSize - inside);
  return {run.kind, size, run_data_[index] + inside, run.source + inside};
}

std::uint64_t ExtentBatch::data_before(std::uint64_t at) const {
  const std::size_t index = run_at(at);
  const bool data = meta_.runs[index].kind == PageRunKind::kData;
  return run_data_[index] + (data ? at - run_begin_[index] : 0);
}

std::uint64_t ExtentBatch::place_of(std::uint64_t data_offset) const {
  // Of runs with as much data before them, the last one is the one that has data.
  const auto next = std::upper_bound(run_data_.begin(), run_data_.end(), data_offset);
  const auto index = static_cast<std::size_t>(next - run_data_.begin()) - 1;
  return run_begin_[index] + (data_offset - run_data_[index]);
}

std::size_t ExtentBatch::run_at(std::uint64_t at) const {
  const auto next = std::upper_bound(run_begin_.begin(), run_begin_.end(), at);
  return static_cast<std::size_t>(next - run_begin_.begin()) - 1;
}

const DataBlock& ExtentBatch::block_of(std::uint64_t data_offset) const {
  const auto next = std::upper_bound(
      blocks_.begin(), blocks_.end(), data_offset,
      [](std::uint64_t offset, const DataBlock& block) { return offset < block.data_offset; });
  return *std::prev(next);
}

}  // namespace vmsnap
