// SPDX-License-Identifier: BSD-2-Clause
// What is wrong in stored guest memory, for a person: which bytes of which segment, and where in the file.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "container/chunk_rules.h"
#include "ram/segment_batches.h"

namespace vmsnap {

/// The Corrupt error for a block of a compressed body that does not decompress.
[[nodiscard]] Error block_damaged(const StoredBatch& stored, const DataBlock& block);

/// The Corrupt error for the bytes [begin, end) of a segment, an extent, that do not match their leaf. Its
/// offset is where they begin in the file; of an extent without data of its own, the meta that describes it.
[[nodiscard]] Error extent_damaged(const StoredBatch& stored, std::uint64_t begin, std::uint64_t end);
/// The same for a flat segment.
[[nodiscard]] Error extent_damaged(const ChunkRecord& flat, std::uint64_t begin, std::uint64_t end);

}  // namespace vmsnap
