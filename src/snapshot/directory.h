// SPDX-License-Identifier: BSD-2-Clause
// What a snapshot says is in it: schemas, manifest, memory map, and the chunks that these promise.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "snapshot/lost.h"
#include "snapshot/manifest.h"
#include "snapshot/schema_meta.h"

namespace vmsnap {

/// Takes the chunks of a snapshot in file order and holds them against each other (docs/format.md, sections 8
/// and 11.2, step 15). Chunks are known by their sequence numbers; errors name chunk and offset, not the
/// file. Not thread-safe, except for const member functions.
class SnapshotDirectory {
 public:
  /// A SCHM chunk, with its meta and its body, both verified against their hashes. Errors: Corrupt,
  /// LimitExceeded.
  [[nodiscard]] Result<void> add_schema(const ChunkRecord& chunk, ByteView meta, ByteView body);
  /// Checks that the schema a chunk refers to, which has been added, describes chunks of its type. Errors:
  /// Corrupt.
  [[nodiscard]] Result<void> check_type(const ChunkRecord& chunk) const;
  /// Checks that this build reads the version in which a schema that was added describes a chunk of the
  /// container's own; all others are fine. `chunk` is the SCHM chunk. Errors: Unsupported.
  [[nodiscard]] Result<void> check_version(const EmbeddedSchema& schema, const ChunkRecord& chunk) const;
  /// Checks what needs every schema. Errors: Corrupt.
  [[nodiscard]] Result<void> check_schemas() const;

  /// The CONF and the MEMM chunk, with its meta, verified against its hash. Errors: Corrupt, LimitExceeded.
  [[nodiscard]] Result<void> set_manifest(const ChunkRecord& chunk, ByteView meta);
  [[nodiscard]] Result<void> set_memory_map(const ChunkRecord& chunk, ByteView meta);

  /// The LOST chunk, with its meta, verified against its hash. Errors: Corrupt, LimitExceeded.
  [[nodiscard]] Result<void> set_lost(const ChunkRecord& chunk, ByteView meta);

  /// Any other chunk after CONF and MEMM, once its type is checked: finds the device or the segment that it
  /// belongs to. Errors: Corrupt.
  [[nodiscard]] Result<void> add_chunk(const ChunkRecord& chunk);
  /// Checks, after the last chunk, that every device and every segment has what it needs. Errors: Corrupt.
  [[nodiscard]] Result<void> check_complete() const;

  /// Checks a file that was made from the remains of a damaged one: whether it says what it lacks, and
  /// whether that is `allowed`. Others pass. Errors: Unsupported.
  [[nodiscard]] Result<void> check_recovered(const FileHeader& header, bool allowed) const;
  /// Checks, last of all, for what a restore must refuse: another architecture, unknown kinds of slots and
  /// segments, critical chunks of unknown meaning. `chunks` are all chunks. Errors: Unsupported.
  [[nodiscard]] Result<void> check_known(std::uint32_t arch, std::span<const ChunkRecord> chunks) const;

  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const MemoryMap& memory_map() const { return memory_map_; }
  /// Of a file that was recovered, what it lacks.
  [[nodiscard]] std::span<const Loss> losses() const { return losses_; }
  /// In file order.
  [[nodiscard]] std::span<const EmbeddedSchema> schemas() const { return schemas_; }
  /// The schema of that id, or nullptr.
  [[nodiscard]] const EmbeddedSchema* find_schema(std::uint32_t id) const;
  /// The schema that describes the meta of a chunk; nullptr only for a SCHM chunk before check_schemas().
  [[nodiscard]] const EmbeddedSchema* schema_of(const ChunkRecord& chunk) const;

  /// The chunk with the state of a device that is in the manifest, after check_complete().
  [[nodiscard]] std::uint32_t device_chunk(std::uint32_t instance) const { return device_chunks_[instance]; }
  /// The chunks of a segment that is in the memory map, in file order; one is RAMF or all are RAME.
  [[nodiscard]] std::span<const std::uint32_t> segment_chunks(std::uint32_t id) const {
    return segment_chunks_[id];
  }
  /// Chunks that are neither the container's nor the state of a device.
  [[nodiscard]] std::span<const std::uint32_t> unknown_chunks() const { return unknown_chunks_; }

  /// Checks the state of a device: the meta of `chunk`, verified against its hash. Errors: Corrupt.
  [[nodiscard]] Result<void> check_state(const ChunkRecord& chunk, ByteView meta) const;

 private:
  [[nodiscard]] Result<void> add_state(const ChunkRecord& chunk);
  [[nodiscard]] Result<void> add_ram(const ChunkRecord& chunk);

  std::vector<EmbeddedSchema> schemas_;
  std::map<std::uint32_t, std::size_t> schema_by_id_;
  Manifest manifest_;
  MemoryMap memory_map_;
  std::set<std::string> device_types_;
  std::vector<std::uint32_t> device_chunks_;                // by instance
  std::vector<std::vector<std::uint32_t>> segment_chunks_;  // by segment id
  std::set<std::uint32_t> flat_segments_;
  std::vector<std::uint32_t> unknown_chunks_;
  std::vector<Loss> losses_;
};

}  // namespace vmsnap
