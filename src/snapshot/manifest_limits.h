// SPDX-License-Identifier: BSD-2-Clause
// How large a manifest and a memory map may be (docs/format.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmsnap {

inline constexpr std::size_t kMaxDevices = 8192;
inline constexpr std::size_t kMaxPathLength = 255;  // bytes; also of the producer's name and version
inline constexpr std::size_t kMaxNameLength = 63;
inline constexpr std::size_t kMaxHintLength = 4096;
inline constexpr std::size_t kMaxCommentLength = 64u << 10;
inline constexpr std::size_t kMaxSegments = 4096;
inline constexpr std::size_t kMaxMappings = 65536;
inline constexpr std::uint64_t kMaxSegmentSize = std::uint64_t{1} << 48;
/// x86-64 has at most 52 bits of physical address (Intel SDM volume 3A, section 4.1.4).
inline constexpr std::uint64_t kMaxGuestAddress = std::uint64_t{1} << 52;

}  // namespace vmsnap
