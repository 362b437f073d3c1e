// SPDX-License-Identifier: BSD-2-Clause
// What all writers of snapshots share: how memory is laid out in the file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/sink.h"
#include "container/chunk_writer.h"
#include "format/chunk_type.h"
#include "format/file_header.h"
#include "ram/extent_source.h"
#include "snapshot/manifest.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// Errors: Usage (encoding, codec and sink do not go together).
[[nodiscard]] Result<void> check_encoding(const Sink& sink, const SnapshotWriteOptions& options);

/// The type of the chunks that hold memory.
[[nodiscard]] FourCc ram_chunk_type(const SnapshotWriteOptions& options);

/// The header of a file with that memory: its UUID, the features of the encoding, the alignment of RAM
/// bodies. Errors: Usage (an alignment the format does not have); Io (no random numbers).
[[nodiscard]] Result<FileHeader> make_file_header(const MemoryMap& memory,
                                                  const SnapshotWriteOptions& options);

/// Gives the source of a segment, by id.
using SegmentSource = std::function<Result<std::unique_ptr<ExtentSource>>(std::uint32_t segment)>;

/// Writes all RAM chunks. `schema_id` describes them. Returns what the summary says of memory. Errors: as
/// write_extent_ram() and write_flat_ram(); those of `source`.
[[nodiscard]] Result<SnapshotSummary> write_memory(ChunkWriter& writer, std::uint32_t schema_id,
                                                   const MemoryMap& memory, const SegmentSource& source,
                                                   const SnapshotWriteOptions& options);

/// Finishes the file and fills in what its summary says of it. Errors: as ChunkWriter::finish().
[[nodiscard]] Result<SnapshotSummary> finish_file(ChunkWriter& writer, std::uint32_t end_schema_id,
                                                  std::uint32_t index_schema_id, SnapshotSummary summary);

}  // namespace vmsnap
