// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM on its way back: one private mapping per segment, verified extent by extent when asked.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/mapping.h"
#include "base/result.h"
#include "container/chunk_reader.h"
#include "ram/flat_ram.h"

namespace vmsnap {

/// The decoded and verified meta of a RAMF chunk, its leaves checked against the body hash of the header.
/// Errors: Io, Corrupt, LimitExceeded.
[[nodiscard]] Result<FlatRamMeta> read_flat_ram_meta(const ChunkReader& reader, const ChunkRecord& chunk);

/// Maps the body of a RAMF chunk: private, writable, nothing is read. The mapping outlives the reader. As
/// long as it lives nobody may shorten the file: touching what is gone kills the process. Errors: Io;
/// Truncated (the file became shorter since it was opened).
[[nodiscard]] Result<Mapping> map_flat_ram(const ChunkReader& reader, const ChunkRecord& chunk);

/// Verifies every extent of the body. Extents that are holes of the file are compared without being read.
/// `mapping`, when not empty, is the unmodified result of map_flat_ram() and is hashed in place; otherwise
/// the file is read piecewise. `threads` is 1 or more. Errors: Io; Corrupt with the offset of the first
/// extent that does not verify.
[[nodiscard]] Result<void> verify_flat_ram(const ChunkReader& reader, const ChunkRecord& chunk,
                                           const FlatRamMeta& meta, ByteView mapping, unsigned threads = 1);

/// Verifies the single extent that holds byte `segment_offset`, in `mapping` (unmodified there so far).
/// For lazy verification. Errors: Corrupt.
[[nodiscard]] Result<void> verify_extent(const ChunkRecord& chunk, const FlatRamMeta& meta, ByteView mapping,
                                         std::uint64_t segment_offset);

}  // namespace vmsnap
