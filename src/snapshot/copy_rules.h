// SPDX-License-Identifier: BSD-2-Clause
// What becomes of the parts of a snapshot in a copy of it, wherever they come from (docs/format.md, section
// 12).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fourcc.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "format/file_header.h"
#include "snapshot/manifest.h"
#include "snapshot/schema_meta.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// The header of a new file with guest memory as `options` say; `recovered`: it says what it lacks. Errors:
/// Io (no random numbers); Usage (an impossible alignment).
[[nodiscard]] Result<FileHeader> header_of_copy(std::uint32_t arch, const MemoryMap& map, bool recovered,
                                                const SnapshotWriteOptions& options);

/// True for the types whose chunks every new file has of its own, described by schemas of this build.
[[nodiscard]] bool is_made_anew(FourCc type);

/// Decides about a chunk that is not the container's; `unknown`: the manifest does not tell what it is
/// either. True: it is copied. False: it is not, and `left_out` says so. Errors: Unsupported (it must not be
/// left out).
[[nodiscard]] Result<bool> is_copied(const ChunkRecord& chunk, const EmbeddedSchema& schema, bool unknown,
                                     std::vector<std::string>& left_out);

/// Adds the features of the original that a copy does not announce to `left_out`.
void leave_out_features(const FileHeader& original, std::vector<std::string>& left_out);

}  // namespace vmsnap
