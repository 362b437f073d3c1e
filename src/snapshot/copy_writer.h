// SPDX-License-Identifier: BSD-2-Clause
// Writes a snapshot from the chunks of another file, sound or not: what rewriting and recovering share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/sink.h"
#include "container/chunk_rules.h"
#include "snapshot/encoding_rules.h"
#include "snapshot/lost.h"
#include "snapshot/manifest.h"
#include "snapshot/schema_meta.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// A schema of the other file that can be used.
struct CopiedSchema {
  EmbeddedSchema schema;
  const ChunkRecord* chunk = nullptr;  // the SCHM chunk that holds it
};

/// A chunk of the other file that goes on as it is, under this instance.
struct CopiedChunk {
  const ChunkRecord* chunk = nullptr;
  std::uint32_t instance = 0;
};

/// The meta of CONF or MEMM.
struct CopiedTable {
  ByteVector meta;
  /// The schema of the other file that describes it; absent: this build's own.
  std::optional<std::uint32_t> schema_id;
};

/// What the new file is made of. Chunks and schemas belong to `file`.
struct CopyPlan {
  const File* file = nullptr;
  std::uint32_t arch = 0;
  std::span<const CopiedSchema> schemas;  // those that nothing uses are left out
  CopiedTable manifest;
  CopiedTable memory_map;
  MemoryMap segments;  // what memory_map says
  SegmentSource source;
  std::vector<CopiedChunk> chunks;  // states of devices, and others that may be copied
  std::vector<Loss> losses;         // not empty: the new file is marked as recovered
};

/// Writes the file into an empty sink; metas and bodies are verified on the way. Errors: Io, Truncated,
/// Corrupt (of the other file); Usage (flat memory needs a sink with a file behind it); LimitExceeded;
/// InvalidState (cancelled); those of the sources.
[[nodiscard]] Result<SnapshotSummary> write_copy(Sink& sink, const CopyPlan& plan,
                                                 const SnapshotWriteOptions& options);

/// Opens what was just written, at level meta, before it is published. Errors: as SnapshotReader::open().
[[nodiscard]] Result<SnapshotReader> reopen(const File& written);

}  // namespace vmsnap
