// SPDX-License-Identifier: BSD-2-Clause
#include "ram/block_codec.h"

#include <fmt/format.h>
#include <lz4.h>

namespace vmsnap {

bool decompress_block(ByteView encoded, MutableByteView content) {
  const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(encoded.data()),
                                       reinterpret_cast<char*>(content.data()),
                                       static_cast<int>(encoded.size()), static_cast<int>(content.size()));
  return size == static_cast<int>(content.size());
}

Error block_damaged(const ChunkRecord& chunk, std::uint64_t body_offset) {
  return Error(ErrorKind::kCorrupt,
               "a block of compressed guest memory does not decompress; the file is damaged")
      .at_offset(chunk.body_offset() + body_offset)
      .in_chunk(chunk.name());
}

Error extent_damaged(const ChunkRecord& chunk, std::uint64_t begin, std::uint64_t end) {
  const bool flat = chunk.header.type == kChunkFlatRam;
  return Error(ErrorKind::kCorrupt,
               fmt::format("{} bytes of guest memory from {:#x} of segment {} do not match their hash; the "
                           "file is damaged",
                           end - begin, begin, chunk.header.instance))
      .at_offset(chunk.body_offset() + (flat ? begin : 0))
      .in_chunk(chunk.name());
}

}  // namespace vmsnap
