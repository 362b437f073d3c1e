// SPDX-License-Identifier: BSD-2-Clause
// Numbers of format version 1 (docs/format.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/fourcc.h"

namespace vmsnap {

inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 0;

inline constexpr std::size_t kFileHeaderFixedSize = 128;
inline constexpr std::size_t kFeatureRecordSize = 64;
inline constexpr std::size_t kMaxFeatureCount = 128;
inline constexpr std::size_t kMaxFileHeaderSize =
    kFileHeaderFixedSize + kFeatureRecordSize * kMaxFeatureCount;
inline constexpr std::size_t kChunkHeaderSize = 64;
inline constexpr std::size_t kFooterSize = 64;

/// Chunk headers, metas, and bodies without a stricter alignment begin at multiples of this.
inline constexpr std::uint64_t kChunkAlignment = 64;
inline constexpr std::uint32_t kMaxMetaSize = 16u << 20;
/// The index of a file with more chunks would not fit into a meta.
inline constexpr std::uint32_t kMaxChunkCount = 1u << 18;
inline constexpr std::uint32_t kMaxSchemaCount = 1024;
inline constexpr std::uint64_t kMaxSchemaSize = 1u << 20;
/// No file offset is larger: the system's are signed.
inline constexpr std::uint64_t kMaxFileSize = (std::uint64_t{1} << 63) - 1;

inline constexpr std::uint8_t kPageShift = 12;
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;
inline constexpr std::uint8_t kMinBodyAlignShift = 12;
inline constexpr std::uint8_t kMaxBodyAlignShift = 30;
inline constexpr std::uint8_t kMinExtentShift = 18;
inline constexpr std::uint8_t kMaxExtentShift = 30;
inline constexpr std::uint64_t kMaxLeafCount = 512u << 10;

inline constexpr std::uint8_t kDigestXxh3 = 1;
inline constexpr std::uint32_t kArchX86_64 = 1;

inline constexpr std::array<std::uint8_t, 8> kFileMagic = {0x8F, 'V', 'M', 'S', 0x0D, 0x0A, 0x1A, 0x0A};
inline constexpr std::array<std::uint8_t, 8> kFooterMagic = {0x8F, 'V', 'M', 'E', 0x0D, 0x0A, 0x1A, 0x0A};
inline constexpr std::uint32_t kChunkSync = 0x4B4E4843;  // "CHNK"

/// Chunk types of the container itself; every other type is the state of a device.
inline constexpr FourCc kChunkSchema("SCHM");
inline constexpr FourCc kChunkManifest("CONF");
inline constexpr FourCc kChunkMemoryMap("MEMM");
inline constexpr FourCc kChunkFlatRam("RAMF");
inline constexpr FourCc kChunkExtentRam("RAME");
inline constexpr FourCc kChunkLost("LOST");
inline constexpr FourCc kChunkEnd("END ");
inline constexpr FourCc kChunkIndex("INDX");
inline constexpr FourCc kChunkProvenance("PROV");  // stands beside the container: no reader needs it

/// True for the types that hold guest memory.
[[nodiscard]] constexpr bool is_ram_chunk(FourCc type) {
  return type == kChunkFlatRam || type == kChunkExtentRam;
}

/// True for the types above.
[[nodiscard]] constexpr bool is_container_chunk(FourCc type) {
  return type == kChunkSchema || type == kChunkManifest || type == kChunkMemoryMap || is_ram_chunk(type) ||
         type == kChunkLost || type == kChunkEnd || type == kChunkIndex;
}

}  // namespace vmsnap
