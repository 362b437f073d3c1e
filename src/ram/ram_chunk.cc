// SPDX-License-Identifier: BSD-2-Clause
#include "ram/ram_chunk.h"

#include <fmt/format.h>

#include "format/digest.h"

namespace vmsnap {

Result<void> check_ram_meta(const ChunkRecord& chunk, std::uint32_t segment,
                            std::span<const std::uint64_t> leaves) {
  if (segment != chunk.header.instance) {
    return Error(ErrorKind::kCorrupt, fmt::format("the meta belongs to segment {}, the chunk to segment {}",
                                                  segment, chunk.header.instance))
        .in_field("segment");
  }
  if (chunk.header.has_leaves() && leaves_hash(leaves) != chunk.header.body_hash) {
    return Error(ErrorKind::kCorrupt, "the leaves do not match the body hash of the chunk")
        .in_field("leaves");
  }
  return {};
}

}  // namespace vmsnap
