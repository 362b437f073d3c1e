// SPDX-License-Identifier: BSD-2-Clause
// What this project has released: every version of every device chunk type, and the release levels, which
// name sets of them (docs/versioning.md). Generated from schema/*/frozen and schema/levels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/chunk_type.h"

namespace vmsnap::compat {

/// How a release of some level writes one type of device chunk.
struct LevelChunk {
  std::string name;  // type name, "uart16550"
  ChunkVersion version;
  std::vector<std::string> features;  // names of device features that it knows
};

/// A set of chunk versions that a release reads and writes.
struct ReleaseLevel {
  std::uint16_t number = 0;
  std::vector<std::string> format_features;  // features of the container, by name, that it reads and writes
  std::vector<LevelChunk> chunks;            // in order of name

  /// nullptr when a release of this level does not know the type. Valid as long as the level.
  [[nodiscard]] const LevelChunk* find(std::string_view type) const;
};

/// Every version of every device chunk type, in order of type and version, with its frozen schema.
[[nodiscard]] std::vector<ChunkType> frozen_device_chunk_types();

/// The newest version of the type of that name among `types`, which are in order of version; nullptr when
/// there is none. Borrowed from `types`.
[[nodiscard]] const ChunkType* newest_of(std::span<const ChunkType> types, std::string_view name);

/// Every level, from 1 on without gap; the number of a level is its position plus one.
[[nodiscard]] std::vector<ReleaseLevel> release_levels();

/// The level that this build writes: the highest.
[[nodiscard]] std::uint16_t current_level();

}  // namespace vmsnap::compat
