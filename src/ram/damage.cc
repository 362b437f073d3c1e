// SPDX-License-Identifier: BSD-2-Clause
#include "ram/damage.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap {
namespace {

/// Where in the file the stored bytes of [begin, end) of the segment start.
std::uint64_t file_offset(const StoredBatch& stored, std::uint64_t begin, std::uint64_t end) {
  const ExtentBatch& batch = stored.batch;
  const std::uint64_t data = batch.data_before(begin);
  if (batch.data_before(end) == data) return stored.chunk->meta_offset();
  const bool raw = batch.codec() == Codec::kNone;
  return stored.chunk->body_offset() + (raw ? data : batch.block_of(data).body_offset);
}

Error wrong_hash(const ChunkRecord& chunk, std::uint64_t begin, std::uint64_t end, std::uint64_t offset) {
  return Error(ErrorKind::kCorrupt,
               fmt::format("{} bytes of guest memory from {:#x} of segment {} do not match their hash; the "
                           "file is damaged",
                           end - begin, begin, chunk.header.instance))
      .at_offset(offset)
      .in_chunk(chunk.name());
}

}  // namespace

Error block_damaged(const StoredBatch& stored, const DataBlock& block) {
  const std::uint8_t shift = stored.batch.meta().extent_shift;
  const std::uint64_t index = stored.batch.place_of(block.data_offset) >> shift;
  const std::uint64_t begin = index << shift;
  const std::uint64_t end = std::min((index + 1) << shift, stored.batch.end());
  return Error(ErrorKind::kCorrupt,
               fmt::format("a block of the {} bytes of guest memory from {:#x} of segment {} does not "
                           "decompress; the file is damaged",
                           end - begin, begin, stored.chunk->header.instance))
      .at_offset(stored.chunk->body_offset() + block.body_offset)
      .in_chunk(stored.chunk->name());
}

Error extent_damaged(const StoredBatch& stored, std::uint64_t begin, std::uint64_t end) {
  return wrong_hash(*stored.chunk, begin, end, file_offset(stored, begin, end));
}

Error extent_damaged(const ChunkRecord& flat, std::uint64_t begin, std::uint64_t end) {
  return wrong_hash(flat, begin, end, flat.body_offset() + begin);
}

}  // namespace vmsnap
