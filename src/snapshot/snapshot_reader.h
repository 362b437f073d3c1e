// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "container/chunk_reader.h"
#include "format/chunk_type.h"
#include "ram/ram_loader.h"
#include "ram/segment_reader.h"
#include "snapshot/directory.h"
#include "snapshot/manifest.h"
#include "snapshot/schema_meta.h"

namespace vmsnap {

/// How much of a file open() proves.
enum class ReadLevel : std::uint8_t {
  kHeader,  // framing, SCHM, CONF, MEMM and their agreement: constant small cost whatever the RAM
  kMeta,    // also every meta, the root and the leaf arrays
  kFull,    // also every body, gap and padding: reads all data of the file
};

struct SnapshotReadOptions {
  ReadLevel level = ReadLevel::kMeta;
  /// Opens files that hold what a restore must refuse (critical chunks of unknown meaning, unknown kinds of
  /// slots or segments, another guest architecture), for tools that show or copy them.
  bool allow_unknown_critical = false;
  PassOptions pass = {};  // how kFull passes over guest memory
  /// Opens files that were recovered from damaged ones and say what they lack.
  bool allow_recovered = false;
};

/// An open snapshot. Move-only; const member functions are thread-safe, the others (device_state,
/// take_segment, mark_consumed: they remember what was taken) are not.
class SnapshotReader {
 public:
  /// Errors: Io; Truncated, Corrupt (the file is damaged; with offset and chunk); Unsupported (naming what
  /// this build does not know); LimitExceeded.
  [[nodiscard]] static Result<SnapshotReader> open(const std::string& path,
                                                   const SnapshotReadOptions& options = {});
  [[nodiscard]] static Result<SnapshotReader> open(File file, const SnapshotReadOptions& options = {});

  [[nodiscard]] const ChunkReader& container() const { return container_; }
  [[nodiscard]] const FileHeader& header() const { return container_.header(); }
  [[nodiscard]] const Digest128& root() const { return container_.footer().root; }
  [[nodiscard]] const Manifest& manifest() const { return directory_.manifest(); }
  [[nodiscard]] const MemoryMap& memory_map() const { return directory_.memory_map(); }
  /// Of a file that was recovered from a damaged one, what it lacks; else nothing.
  [[nodiscard]] std::span<const Loss> losses() const { return directory_.losses(); }

  /// Every embedded schema, in file order.
  [[nodiscard]] std::span<const EmbeddedSchema> schemas() const { return directory_.schemas(); }
  /// The schema of that id, or nullptr.
  [[nodiscard]] const EmbeddedSchema* find_schema(std::uint32_t id) const {
    return directory_.find_schema(id);
  }
  /// The schema that describes a chunk's meta: by schema id; of a SCHM chunk, the one whose chunk_type is
  /// SCHM. Never nullptr for a chunk of this file.
  [[nodiscard]] const EmbeddedSchema* schema_of(const ChunkRecord& chunk) const {
    return directory_.schema_of(chunk);
  }
  /// The binary schema (.bfbs), verified. Hostile: for SchemaModel only. Errors: Io, Corrupt.
  [[nodiscard]] Result<ByteVector> schema_body(const EmbeddedSchema& schema) const;

  /// The chunk that holds a device's state; `instance` is in the manifest.
  [[nodiscard]] const ChunkRecord& device_chunk(std::uint32_t instance) const {
    return container_.chunks()[directory_.device_chunk(instance)];
  }

  /// The chunks that hold a segment, in the order of the file; `id` is in the memory map.
  [[nodiscard]] std::span<const ChunkRecord* const> segment_chunks(std::uint32_t id) const {
    return segment_chunks_[id];
  }

  /// The state of a device, verified against its hash and its file identifier, and consumed. The FlatBuffer
  /// is not verified against a schema: that is for whoever has the schema. Errors: Io, Corrupt; Usage (no
  /// such instance).
  [[nodiscard]] Result<ByteVector> device_state(std::uint32_t instance);
  /// A memory segment, whatever its encoding, with verified metas: from the level kMeta on those that open()
  /// has read, else they are read anew. It refers to this reader, which must stay
  /// where it is meanwhile. Errors: Io, Corrupt, Unsupported, LimitExceeded; Usage (no such segment).
  [[nodiscard]] Result<SegmentReader> segment(std::uint32_t id) const;
  /// The same, and its chunks are consumed.
  [[nodiscard]] Result<SegmentReader> take_segment(std::uint32_t id);
  /// The digest of what all of guest memory holds (ram/segment_reader.h). Errors: as segment().
  [[nodiscard]] Result<Digest128> memory_digest() const;

  /// For a caller that takes a chunk by other means.
  void mark_consumed(const ChunkRecord& chunk) { consumed_.insert(chunk.header.sequence); }
  /// Critical chunks that nobody took, beyond those of the container itself; a restore with any has lost
  /// state.
  [[nodiscard]] std::vector<const ChunkRecord*> unconsumed() const;
  /// Chunks that are neither the container's nor named by the manifest, optional and critical ones.
  [[nodiscard]] std::vector<const ChunkRecord*> unknown_chunks() const;

 private:
  explicit SnapshotReader(ChunkReader container) : container_(std::move(container)) {}

  [[nodiscard]] Result<void> load_directory();
  [[nodiscard]] Result<void> check_metas();
  [[nodiscard]] Result<void> check_bodies(const PassOptions& pass) const;
  [[nodiscard]] Result<ByteVector> read_state(std::uint32_t instance) const;

  ChunkReader container_;
  SnapshotDirectory directory_;
  std::vector<std::vector<const ChunkRecord*>> segment_chunks_;  // by segment id, in the order of the file
  /// By segment id: what check_metas() has read. Empty at the level kHeader.
  std::vector<std::shared_ptr<const SegmentMetas>> segment_metas_;
  std::set<std::uint32_t> consumed_;
};

}  // namespace vmsnap
