// SPDX-License-Identifier: BSD-2-Clause
// Chunks of bhyve's snapshots with random content, made from the layouts. For what has to hold whatever the
// layouts say; whether they say what bhyve writes is another matter.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "bhyve/layout/encode.h"

namespace vmsnap::compat::bhyve {

struct RandomChunk {
  ByteVector bytes;
  std::map<std::string, ByteVector> values;  // by path, in the chunk
};

/// A chunk whose counts are small and whose conditions hold about half of the time. Aborts when it cannot be
/// encoded, which is a bug.
[[nodiscard]] RandomChunk make_random_chunk(const Layout& layout, const Context& context, std::uint64_t seed);

}  // namespace vmsnap::compat::bhyve
