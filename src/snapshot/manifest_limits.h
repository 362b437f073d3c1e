// SPDX-License-Identifier: BSD-2-Clause
// How large a manifest, a memory map, a list of losses and a history may be. Counts are budgets of this build
// (LimitExceeded), lengths are part of the grammar of the text (Corrupt).
#pragma once

#include <cstddef>

namespace vmsnap {

inline constexpr std::size_t kMaxDevices = 8192;
inline constexpr std::size_t kMaxPathLength = 255;  // bytes; also of the producer's name and version
inline constexpr std::size_t kMaxNameLength = 63;
inline constexpr std::size_t kMaxHintLength = 4096;
inline constexpr std::size_t kMaxCommentLength = 64u << 10;
inline constexpr std::size_t kMaxReasonLength = 1024;
inline constexpr std::size_t kMaxLosses = 65536;
inline constexpr std::size_t kMaxMigrations = 4096;
inline constexpr std::size_t kMaxMigrationLosses = 65536;  // of all of them together
inline constexpr std::size_t kMaxSegments = 4096;
inline constexpr std::size_t kMaxMappings = 65536;

}  // namespace vmsnap
