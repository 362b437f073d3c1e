// SPDX-License-Identifier: BSD-2-Clause
#include "versions/versions.h"

#include <algorithm>

namespace vmsnap::compat {

const LevelChunk* ReleaseLevel::find(std::string_view type) const {
  const auto found =
      std::find_if(chunks.begin(), chunks.end(), [&](const LevelChunk& chunk) { return chunk.name == type; });
  return found == chunks.end() ? nullptr : &*found;
}

const ChunkType* newest_of(std::span<const ChunkType> types, std::string_view name) {
  const auto found =
      std::find_if(types.rbegin(), types.rend(), [&](const ChunkType& type) { return type.name == name; });
  return found == types.rend() ? nullptr : &*found;
}

}  // namespace vmsnap::compat
