// SPDX-License-Identifier: BSD-2-Clause
// How the commands open what the command line names, and what they tell of the files that they write.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {

/// Refuses what is no file to read at random, before opening it: opening a FIFO would wait for ever.
/// Errors: Io; Usage ("-").
[[nodiscard]] Result<void> check_path(const std::string& path);

/// Opens a snapshot, also one that a restore must refuse. Errors: those of check_path() and
/// SnapshotReader::open().
[[nodiscard]] Result<SnapshotReader> open_snapshot(const std::string& path,
                                                   ReadLevel level = ReadLevel::kHeader);

/// Bytes of all memory segments together, as far as 64 bits go: the sizes may be hostile.
[[nodiscard]] std::uint64_t memory_size(const SnapshotReader& reader);

/// The time that a file says it was made at: nanoseconds since 1970-01-01T00:00:00Z.
[[nodiscard]] std::int64_t now();

/// Bytes that an open file occupies on the disk. Errors: Io.
[[nodiscard]] Result<std::uint64_t> allocated_size(const File& file);

}  // namespace vmsnap::snaptool
