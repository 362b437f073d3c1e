// SPDX-License-Identifier: BSD-2-Clause
// The metas of END and INDX.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/fourcc.h"
#include "base/hash.h"
#include "base/result.h"

namespace vmsnap {

/// One line of the index: what a chunk's header says, where it stands, and its digest.
struct IndexLine {
  std::uint64_t offset = 0;  // of the chunk header
  std::uint64_t size = 0;    // bytes to the next chunk header, padding included
  Digest128 digest;
  FourCc type;
  std::uint32_t instance = 0;
  std::uint32_t schema_id = 0;
  std::uint32_t flags = 0;
  bool operator==(const IndexLine&) const = default;
};

struct EndMeta {
  std::uint32_t chunk_count = 0;  // chunks before END
  Digest128 root;
  bool operator==(const EndMeta&) const = default;
};

[[nodiscard]] ByteVector encode(const EndMeta& end);
[[nodiscard]] ByteVector encode_index(std::span<const IndexLine> lines);

/// Verify bytes from a file. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<EndMeta> decode_end(ByteView meta);
[[nodiscard]] Result<std::vector<IndexLine>> decode_index(ByteView meta);

}  // namespace vmsnap
