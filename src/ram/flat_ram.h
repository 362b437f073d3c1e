// SPDX-License-Identifier: BSD-2-Clause
// The meta of a RAMF chunk: a memory segment, flat, with one hash ("leaf") per extent.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "container/chunk_reader.h"

namespace vmsnap {

struct FlatRamMeta {
  std::uint32_t segment = 0;
  std::uint8_t extent_shift = 0;      // log2 of the bytes of an extent
  std::uint64_t data_bytes = 0;       // bytes of pages that are not all zero
  std::vector<std::uint64_t> leaves;  // XXH3-64 of each extent in order; the last extent may be short
  bool operator==(const FlatRamMeta&) const = default;
};

/// The smallest extent size (as log2) whose leaves for `segment_size` bytes keep within the format's limit.
/// Errors: LimitExceeded (512 TiB and more).
[[nodiscard]] Result<std::uint8_t> choose_extent_shift(std::uint64_t segment_size);

/// Number of extents of a segment.
[[nodiscard]] std::uint64_t extent_count(std::uint64_t segment_size, std::uint8_t extent_shift);

/// Errors: Corrupt (outside the format's range).
[[nodiscard]] Result<void> check_extent_shift(std::uint8_t extent_shift);

/// The FlatBuffer. Its size depends on the number of leaves alone.
[[nodiscard]] ByteVector encode(const FlatRamMeta& meta);

/// Verifies a meta from a file against the size of its segment in bytes. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<FlatRamMeta> decode_flat_ram(ByteView meta, std::uint64_t segment_size);

/// The decoded and verified meta of a RAMF chunk, its leaves checked against the body hash of the header. The
/// hash of `meta` itself is verified. Errors: Corrupt, LimitExceeded, with chunk and offset.
[[nodiscard]] Result<FlatRamMeta> decode_flat_ram(const ChunkRecord& chunk, ByteView meta);
/// The same from an open file. Errors: Io, Corrupt, LimitExceeded.
[[nodiscard]] Result<FlatRamMeta> read_flat_ram_meta(const File& file, const ChunkRecord& chunk);

}  // namespace vmsnap
