// SPDX-License-Identifier: BSD-2-Clause
// The last bytes of a snapshot. They repeat what a walk over the chunks tells, so that a reader knows in one
// read that the save was finished.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "format/constants.h"

namespace vmsnap {

struct Footer {
  Digest128 root;
  std::uint64_t index_offset = 0;  // of the header of the INDX chunk
  std::uint64_t file_size = 0;     // bytes, footer included
  std::uint32_t chunk_count = 0;   // END and INDX included
  bool operator==(const Footer&) const = default;
};

using EncodedFooter = std::array<std::byte, kFooterSize>;

[[nodiscard]] EncodedFooter encode(const Footer& footer, std::uint64_t seed);

/// Decodes kFooterSize bytes. Errors: Corrupt (magic, hash or reserved bytes are wrong).
[[nodiscard]] Result<Footer> decode_footer(ByteView bytes, std::uint64_t seed);

}  // namespace vmsnap
