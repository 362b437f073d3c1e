// SPDX-License-Identifier: BSD-2-Clause
// Compressed blocks of guest memory.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "container/chunk_rules.h"

namespace vmsnap {

/// Decodes one LZ4 block of hostile bytes; false unless it gives exactly content.size() bytes. `content` is
/// undefined after a failure.
[[nodiscard]] bool decompress_block(ByteView encoded, MutableByteView content);

/// The Corrupt error for a block `body_offset` bytes into the body of `chunk` that decompress_block()
/// refuses.
[[nodiscard]] Error block_damaged(const ChunkRecord& chunk, std::uint64_t body_offset);

/// The Corrupt error for the bytes [begin, end) of a segment, an extent in `chunk`, that do not match their
/// leaf.
[[nodiscard]] Error extent_damaged(const ChunkRecord& chunk, std::uint64_t begin, std::uint64_t end);

}  // namespace vmsnap
