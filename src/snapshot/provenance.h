// SPDX-License-Identifier: BSD-2-Clause
// How a snapshot came to be what it is (PROV): the migrations that its devices have been through.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/uuid.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {

/// A value that a migrated file could not hold.
struct MigrationLoss {
  std::string device;    // path in the manifest
  std::string field;     // path in the state
  std::string sentence;  // the value, and what its loss means for the guest
  bool operator==(const MigrationLoss&) const = default;
};

/// One time that the states of the devices were brought to another release level.
struct Migration {
  std::string tool;
  std::string tool_version;
  std::int64_t time = 0;  // nanoseconds since 1970-01-01T00:00:00Z
  std::uint16_t from_level = 0;
  std::uint16_t to_level = 0;
  Uuid source_uuid;
  Digest128 source_root;
  std::vector<MigrationLoss> losses;
  bool operator==(const Migration&) const = default;
};

/// The FlatBuffer of a PROV meta; `migrations`, oldest first, has one at least. Errors: those of
/// decode_provenance().
[[nodiscard]] Result<ByteVector> encode(std::span<const Migration> migrations);

/// Verifies bytes that come from a file. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<std::vector<Migration>> decode_provenance(ByteView meta);

/// True for a PROV chunk of a version that this build reads.
[[nodiscard]] bool is_provenance(const SnapshotReader& reader, const ChunkRecord& chunk);

/// The migrations of an open snapshot, oldest first; none, when it has no PROV chunk of a version that this
/// build reads. Errors: Io; Corrupt, LimitExceeded (the chunk, with its place).
[[nodiscard]] Result<std::vector<Migration>> read_provenance(const SnapshotReader& reader);

}  // namespace vmsnap
