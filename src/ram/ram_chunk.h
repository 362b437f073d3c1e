// SPDX-License-Identifier: BSD-2-Clause
// What the RAM chunks of both encodings have in common.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "container/chunk_rules.h"

namespace vmsnap {

/// Holds what a meta says of its segment and its leaves against the header of its chunk. Errors: Corrupt,
/// with the field.
[[nodiscard]] Result<void> check_ram_meta(const ChunkRecord& chunk, std::uint32_t segment,
                                          std::span<const std::uint64_t> leaves);

/// Passes on the decoded meta of a RAM chunk if it also agrees with the header. Errors: those of the meta and
/// of check_ram_meta(), with chunk and offset.
template <typename Meta>
[[nodiscard]] Result<Meta> checked_ram_meta(const ChunkRecord& chunk, Result<Meta> meta) {
  if (!meta) return in_meta(std::move(meta).error(), chunk);
  if (auto agreed = check_ram_meta(chunk, meta->segment, meta->leaves); !agreed) {
    return in_meta(std::move(agreed).error(), chunk);
  }
  return meta;
}

}  // namespace vmsnap
