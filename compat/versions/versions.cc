// SPDX-License-Identifier: BSD-2-Clause
#include "versions/versions.h"

#include <algorithm>

namespace vmsnap::compat {

const LevelChunk* ReleaseLevel::find(std::string_view type) const {
  const auto found =
      std::find_if(chunks.begin(), chunks.end(), [&](const LevelChunk& chunk) { return chunk.name == type; });
  return found == chunks.end() ? nullptr : &*found;
}

}  // namespace vmsnap::compat
