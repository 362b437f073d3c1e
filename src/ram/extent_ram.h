// SPDX-License-Identifier: BSD-2-Clause
// The meta of a RAME chunk: a batch of extents of a memory segment, page run by page run (docs/format.md,
// section 9.2).
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace vmsnap {

/// How the bytes of a chunk's body are encoded: the codec field of its flags.
enum class Codec : std::uint8_t { kNone = 0, kLz4 = 1 };

/// Content of one block of a compressed body, in bytes; the last block of an extent may be short.
inline constexpr std::uint64_t kBlockSize = 64u << 10;

enum class PageRunKind : std::uint8_t {
  kData = 0,       // in the body
  kZero = 1,       // all zero
  kDuplicate = 2,  // as other pages of the segment, which are data and stand before
  kParent = 3,     // as in the parent of a diff
};

/// Adjacent pages of one kind.
struct PageRun {
  PageRunKind kind = PageRunKind::kData;
  std::uint32_t pages = 0;
  std::uint64_t source = 0;  // of a duplicate: byte offset in the segment of what it equals
  bool operator==(const PageRun&) const = default;
};

struct ExtentRamMeta {
  std::uint32_t segment = 0;
  std::uint8_t extent_shift = 0;           // log2 of the bytes of an extent
  std::uint32_t first_extent = 0;          // number in the segment
  std::vector<std::uint64_t> leaves;       // one for each extent of the batch
  std::vector<PageRun> runs;               // all pages of the batch, from the front
  std::vector<std::uint32_t> block_sizes;  // in the body; of a compressed body only
  bool operator==(const ExtentRamMeta&) const = default;

  /// First byte of the batch in the segment, and the byte after its last, for a segment of `size` bytes.
  [[nodiscard]] std::uint64_t begin() const { return std::uint64_t{first_extent} << extent_shift; }
  [[nodiscard]] std::uint64_t end(std::uint64_t size) const;
  /// Bytes of the pages that are in the body.
  [[nodiscard]] std::uint64_t data_bytes() const;
};

/// Sizes in bytes of the pieces that the data of a batch is cut into for compression, in order: the data of
/// each extent by itself, in blocks of kBlockSize.
[[nodiscard]] std::vector<std::uint32_t> block_contents(const ExtentRamMeta& meta);

/// The FlatBuffer.
[[nodiscard]] ByteVector encode(const ExtentRamMeta& meta);

/// Verifies a meta from a file against the size of its segment and of its body, both in bytes: everything
/// that can be told from one chunk. Errors: Corrupt; Unsupported (a kind of run this build does not know);
/// LimitExceeded.
[[nodiscard]] Result<ExtentRamMeta> decode_extent_ram(ByteView meta, std::uint64_t segment_size,
                                                      std::uint64_t body_size, Codec codec);

}  // namespace vmsnap
