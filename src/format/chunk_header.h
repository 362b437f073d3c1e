// SPDX-License-Identifier: BSD-2-Clause
// The header of a chunk and the geometry of what follows it: header | meta | gap | body | pad.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/fourcc.h"
#include "base/result.h"
#include "format/constants.h"

namespace vmsnap {

/// Flag bits of a chunk header.
enum ChunkFlag : std::uint32_t {
  kChunkCritical = 1u << 0,    // who does not know the type must not use the file
  kChunkSafeToCopy = 1u << 1,  // a tool that does not know the type may copy it into a changed file
  kChunkLeaves = 1u << 2,      // body_hash covers the array of leaf hashes instead of the body
};
inline constexpr std::uint32_t kChunkKnownFlags = kChunkCritical | kChunkSafeToCopy | kChunkLeaves;
inline constexpr std::uint32_t kChunkCodecShift = 8;
inline constexpr std::uint32_t kChunkCodecMask = 0xFFu << kChunkCodecShift;
inline constexpr std::uint8_t kCodecNone = 0;
inline constexpr std::uint8_t kCodecLz4 = 1;  // of RAME chunks only

struct ChunkHeader {
  FourCc type;
  std::uint32_t flags = kChunkCritical;
  std::uint32_t sequence = 0;   // position in the file, from 0
  std::uint32_t schema_id = 0;  // 0 only for SCHM
  std::uint32_t instance = 0;
  std::uint32_t meta_size = 0;  // bytes
  std::uint32_t gap = 0;        // zero bytes between meta and body
  std::uint64_t body_size = 0;  // bytes
  std::uint64_t meta_hash = 0;
  std::uint64_t body_hash = 0;  // of an empty body too
  bool operator==(const ChunkHeader&) const = default;

  [[nodiscard]] bool critical() const { return (flags & kChunkCritical) != 0; }
  [[nodiscard]] bool has_leaves() const { return (flags & kChunkLeaves) != 0; }
  [[nodiscard]] std::uint8_t codec() const {
    return static_cast<std::uint8_t>((flags & kChunkCodecMask) >> kChunkCodecShift);
  }
};

using EncodedChunkHeader = std::array<std::byte, kChunkHeaderSize>;

/// The bytes of a header that stands at `offset` of a file whose header_hash seed is `seed`.
[[nodiscard]] EncodedChunkHeader encode(const ChunkHeader& header, std::uint64_t seed, std::uint64_t offset);

/// Decodes kChunkHeaderSize bytes found at `offset`. Checks the hash and everything that needs no other
/// bytes of the file; unknown flags are not judged (see unsupported_flags). Errors: Corrupt, with the offset.
[[nodiscard]] Result<ChunkHeader> decode_chunk_header(ByteView bytes, std::uint64_t seed,
                                                      std::uint64_t offset);

/// The Unsupported error for flags or a codec that this build does not know; nullopt when it knows all.
[[nodiscard]] std::optional<Error> unsupported_flags(const ChunkHeader& header);

/// File offset of the first byte after the chunk, padding included, when its header stands at `offset`;
/// nullopt when that is beyond kMaxFileSize.
[[nodiscard]] std::optional<std::uint64_t> chunk_end(const ChunkHeader& header, std::uint64_t offset);

/// How errors call a chunk: "UART#17", type and sequence number.
[[nodiscard]] std::string chunk_name(FourCc type, std::uint32_t sequence);

}  // namespace vmsnap
