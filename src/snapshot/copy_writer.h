// SPDX-License-Identifier: BSD-2-Clause
// Writes a snapshot from the chunks of another file, sound or not: what rewriting and recovering share.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
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

/// A chunk without a body that is made anew, under the schema that `type` brings along.
struct AddedChunk {
  const ChunkType* type = nullptr;
  std::uint32_t instance = 0;
  std::uint32_t flags = kChunkCritical;
  ByteView meta;
};

/// What the new file is made of. Chunks and schemas belong to `file`.
struct CopyPlan {
  const File* file = nullptr;
  std::uint32_t arch = 0;
  std::vector<CopiedSchema> schemas;  // those that nothing uses are left out
  CopiedTable manifest;
  CopiedTable memory_map;
  MemoryMap segments;  // what memory_map says
  SegmentSource source;
  /// Guest memory as it is, instead of through `source`: the RAM chunks of the other file and its header.
  /// Their bodies are not read where the file system can do without, and not verified.
  std::vector<const ChunkRecord*> memory;
  const FileHeader* header = nullptr;
  std::vector<CopiedChunk> chunks;  // states of devices, and others that may be copied
  std::vector<AddedChunk> added;    // behind them
  std::vector<Loss> losses;         // not empty: the new file is marked as recovered
};

/// Writes the file into an empty sink; metas, and bodies but those of `memory`, are verified on the way.
/// Errors: Io, Truncated, Corrupt (of the other file); Usage (flat memory needs a sink with a file behind
/// it); LimitExceeded; InvalidState (cancelled); those of the sources.
[[nodiscard]] Result<SnapshotSummary> write_copy(Sink& sink, const CopyPlan& plan,
                                                 const SnapshotWriteOptions& options);

/// CONF or MEMM of an open snapshot, as it is there. Errors: Io, Corrupt.
[[nodiscard]] Result<CopiedTable> copy_table(const SnapshotReader& from, FourCc type);

/// What every copy of `from` has in common: its architecture, schemas, memory map and losses. The manifest,
/// the memory itself and all other chunks are the caller's affair. The plan refers to `from`. Errors: Io,
/// Corrupt.
[[nodiscard]] Result<CopyPlan> plan_copy(const SnapshotReader& from);

/// True for a chunk that the caller makes anew or does without; `is_state`: it is the state of a device.
using IsReplaced = std::function<bool(const ChunkRecord& chunk, bool is_state)>;

/// Adds the chunks of `from` that are neither the container's nor replaced to the plan, as far as they may be
/// copied; what may not be, and the features that a copy does not announce, to `left_out`. Errors:
/// Unsupported (a critical chunk that may not be copied).
[[nodiscard]] Result<void> plan_chunks(const SnapshotReader& from, CopyPlan& plan,
                                       std::vector<std::string>& left_out, const IsReplaced& is_replaced);

/// Opens what was just written, at level meta, before it is published. Errors: as SnapshotReader::open().
[[nodiscard]] Result<SnapshotReader> reopen(const File& written);

/// Has `write` fill a file that appears when it is complete and on the disk (AtomicFile, mode 0600), and when
/// its tables say that it holds the memory of `from`, whose place it may take. Errors: Io; those of `write`
/// and of reopen(); Internal (other memory).
[[nodiscard]] Result<SnapshotSummary> publish_copy(
    const SnapshotReader& from, const std::string& to,
    const std::function<Result<SnapshotSummary>(Sink&)>& write);

}  // namespace vmsnap
