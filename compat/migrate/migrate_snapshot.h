// SPDX-License-Identifier: BSD-2-Clause
// A snapshot file brought to another release level.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "migrate/convert.h"
#include "migrate/report.h"
#include "ram/pass_options.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::compat {

struct MigrateOptions {
  std::uint16_t to_level = 0;
  AllowedLosses allowed;
  PassOptions pass = {};  // progress in bytes of the file that were copied, and cancellation
  std::string tool;       // who does it, for the provenance
  std::string tool_version;
  std::int64_t time = 0;  // nanoseconds since 1970-01-01T00:00:00Z
};

struct MigratedSnapshot {
  MigrationReport report;
  std::vector<std::string> left_out;       // chunks that may not be copied, each a part of a sentence
  std::optional<SnapshotSummary> written;  // nullopt when the report is refused
};

/// What migrate_snapshot() would do to the devices of `from`, opened at level meta or above. Errors: those of
/// Migrator::convert_to_level() and of the file; Unsupported (the level does not know a feature of the
/// format that the file uses).
[[nodiscard]] Result<MigrationReport> plan_migration(const SnapshotReader& from, const Migrator& migrator,
                                                     const MigrateOptions& options);

/// Writes `from`, opened at level meta or above, with the states of all devices in the versions of a level,
/// into a file that appears when it is complete and is on the disk (AtomicFile, mode 0600); it may take the
/// place of the file that `from` reads. The new file has a UUID of its own and says where it comes from
/// (PROV). Guest memory keeps its chunks; their bodies are copied without being read, or shared, where the
/// file system can do that, and are not verified: whoever reads the new file does. Errors: those of
/// plan_migration(); Io; InvalidState (cancelled).
[[nodiscard]] Result<MigratedSnapshot> migrate_snapshot(const SnapshotReader& from, const std::string& to,
                                                        const Migrator& migrator,
                                                        const MigrateOptions& options);

}  // namespace vmsnap::compat
