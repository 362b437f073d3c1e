// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM on its way to the file, without a copy of ours in between.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/chunk_writer.h"
#include "ram/extent_scanner.h"

namespace vmsnap {

/// What was written of a segment.
struct WrittenRam {
  std::uint64_t body_offset = 0;  // in the file
  std::uint64_t data_bytes = 0;   // bytes of pages that are not all zero
};

/// Writes one RAMF chunk: pages that are not all zero go from `source` to the file by pwrite(2) in runs of up
/// to 1 MiB, each extent hashed just before; all-zero pages become holes. The size of `source` is a multiple
/// of the page size, not 0. Errors: Io, Usage, LimitExceeded.
[[nodiscard]] Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                std::uint32_t segment, const RamSource& source);

}  // namespace vmsnap
