// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM on its way to the file, without a copy of ours in between.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/chunk_writer.h"
#include "ram/extent_source.h"
#include "ram/pass_options.h"
#include "ram/written_ram.h"

namespace vmsnap {

/// Writes one RAMF chunk: pages that are not all zero go to the file by pwrite(2) in runs of up to 1 MiB,
/// each extent hashed just before, those of memory straight from where they are; all-zero pages become holes.
/// With more than one thread in `options`, a second one looks for zero pages and hashes. Errors: Io; Usage
/// (the sink has no file behind it); LimitExceeded; InvalidState (cancelled); those of the source.
[[nodiscard]] Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                std::uint32_t segment, ExtentSource& source,
                                                const PassOptions& options = {});

/// The same of guest memory. Errors also: those of MemorySource::check().
[[nodiscard]] Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                std::uint32_t segment, const RamSource& memory,
                                                const PassOptions& options = {});

}  // namespace vmsnap
