// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "ram/pass_options.h"
#include "snapshot/lost.h"
#include "snapshot/manifest.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// What recover_snapshot() reports.
struct RecoveryReport {
  SnapshotSummary written;
  MemoryMap memory_map;
  std::vector<Loss> losses;   // empty: everything was there
  std::uint32_t devices = 0;  // in the damaged file's manifest
  std::uint32_t devices_recovered = 0;
  std::uint64_t memory_recovered = 0;  // bytes, of SnapshotSummary::ram_bytes
};

/// Writes a sound snapshot from what still verifies of a damaged one, into a file that appears when it is
/// complete and on the disk (AtomicFile, mode 0600): schemas, manifest, memory map, states of devices,
/// extents of memory, and chunks of unknown meaning that may be copied. What is missing is listed in the new
/// file, which is then marked as recovered; its manifest names only devices whose states are in it, and
/// memory that is missing is zero. Memory is passed over twice, and `pass` counts both. Memory use does not
/// depend on the size of the guest. Errors, when nothing was written: Io; Truncated, Corrupt (without its
/// header, manifest or memory map a file holds no machine; the sentence says what verifies); Unsupported (the
/// file is of a format that this build does not know); LimitExceeded; InvalidState (cancelled).
[[nodiscard]] Result<RecoveryReport> recover_snapshot(const File& damaged, const std::string& to,
                                                      const PassOptions& pass = {});

}  // namespace vmsnap
