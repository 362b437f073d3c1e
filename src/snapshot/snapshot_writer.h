// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/sink.h"
#include "base/uuid.h"
#include "format/chunk_type.h"
#include "ram/extent_ram.h"
#include "ram/extent_source.h"
#include "ram/pass_options.h"
#include "snapshot/manifest.h"

namespace vmsnap {

/// Everything that goes into a snapshot. Borrowed memory (segments) must not change while it is written.
struct SnapshotContents {
  Manifest manifest;
  MemoryMap memory_map;
  std::vector<ByteVector> device_states;  // by instance: the FlatBuffer of the device's chunk type
  std::vector<RamSource> segments;        // by segment id; sizes as in the memory map
};

/// How guest memory is laid out in the file.
enum class RamEncoding : std::uint8_t {
  kFlat,     // as in memory, zero pages as holes: needs a file to write to
  kExtents,  // front to back; zero pages and repeated extents are left out
};

struct SnapshotWriteOptions {
  std::optional<Uuid> uuid;  // random when absent
  /// 12..30; absent: 21 when there is flat memory of 2 MiB or more in one segment, else 12.
  std::optional<std::uint8_t> body_align_shift;
  RamEncoding encoding = RamEncoding::kFlat;
  Codec codec = Codec::kNone;  // of the extents encoding only
  PassOptions pass = {};       // over each segment
};

struct SnapshotSummary {
  Uuid uuid;
  Digest128 root;
  std::uint64_t file_size = 0;         // bytes, holes included
  std::uint64_t ram_bytes = 0;         // total size of the segments
  std::uint64_t ram_data_bytes = 0;    // bytes of RAM pages that are not all zero
  std::uint64_t ram_stored_bytes = 0;  // bytes that stand for them in the file
  std::uint32_t chunk_count = 0;
};

/// Writes a snapshot beside `path` and puts it in place when it is complete and on the disk (AtomicFile, mode
/// 0600); until then, and after any error, a file of that name stays as it was. `types` are the device chunk
/// types this program writes; the manifest's `type` names are looked up there, and only schemas in use are
/// embedded. Nothing is written when the contents contradict themselves.
///
/// Errors: Io; Corrupt (what validate() refuses); Usage (a number of states or segments, a size, a version or
/// a state's file identifier that does not fit the manifest; a type that is not in `types`; options that do
/// not go together); LimitExceeded; InvalidState (the pass was cancelled).
[[nodiscard]] Result<SnapshotSummary> write_snapshot(const std::string& path,
                                                     const SnapshotContents& contents,
                                                     std::span<const ChunkType> types,
                                                     const SnapshotWriteOptions& options = {});

/// The same into an empty sink that the caller publishes; one without a file behind it (Sink::seekable())
/// takes the extents encoding only: otherwise Usage.
[[nodiscard]] Result<SnapshotSummary> write_snapshot(Sink& sink, const SnapshotContents& contents,
                                                     std::span<const ChunkType> types,
                                                     const SnapshotWriteOptions& options = {});

/// The same into an empty file that the caller publishes.
[[nodiscard]] Result<SnapshotSummary> write_snapshot(const File& file, const SnapshotContents& contents,
                                                     std::span<const ChunkType> types,
                                                     const SnapshotWriteOptions& options = {});

}  // namespace vmsnap
