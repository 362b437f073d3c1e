// SPDX-License-Identifier: BSD-2-Clause
#include "format/chunk_type.h"

#include <fmt/format.h>

namespace vmsnap {

std::string to_string(ChunkVersion version) {
  return fmt::format("{}.{}", version.major, version.minor);
}

}  // namespace vmsnap
