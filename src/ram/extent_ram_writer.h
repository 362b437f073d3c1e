// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM in the extents encoding: front to back, into a sink that need not be a file.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "container/chunk_writer.h"
#include "format/features.h"
#include "ram/extent_ram.h"
#include "ram/extent_source.h"
#include "ram/pass_options.h"
#include "ram/written_ram.h"

namespace vmsnap {

/// The features that a file with RAME chunks of this codec must announce, as its header wants them.
[[nodiscard]] std::vector<Feature> extent_ram_features(Codec codec);

/// Writes the RAME chunks of the extents of a segment that the source has, each with about 1 MiB of data
/// (more in very large segments). Pages that are all zero are not stored, nor is an extent that repeats an
/// earlier one. Without a codec the pages of a source that is memory go to the sink straight from where they
/// are. `options.threads` threads look at extents, compress and write, with memory for two chunks each. The
/// file does not depend on their number. Errors: Io; LimitExceeded; InvalidState (cancelled); those of the
/// source.
[[nodiscard]] Result<WrittenRam> write_extent_ram(ChunkWriter& writer, std::uint32_t schema_id,
                                                  std::uint32_t segment, ExtentSource& source, Codec codec,
                                                  const PassOptions& options = {});

}  // namespace vmsnap
