// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/sink.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// What copy_snapshot() reports.
struct CopyReport {
  SnapshotSummary written;
  /// What this build does not know and must not copy, each a part of a sentence: it is not in the new file.
  std::vector<std::string> left_out;
};

/// Writes the snapshot `from`, opened at level meta or above, into an empty sink, with guest memory in
/// another encoding. The new file has a UUID of its own. Manifest, memory map and the states of all devices
/// keep their bytes and schemas, whether or not this build knows them. Chunks of unknown meaning are copied
/// if they may be, are left out if they are optional, and keep the file from being copied otherwise. Every
/// extent is verified on the way; memory use does not depend on the size of the guest. Errors: Io; Truncated,
/// Corrupt (of `from`); Unsupported (a critical chunk that may not be copied); Usage (options and sink do not
/// go together); LimitExceeded; InvalidState (cancelled).
[[nodiscard]] Result<CopyReport> copy_snapshot(const SnapshotReader& from, Sink& to,
                                               const SnapshotWriteOptions& options);

/// The same into a file that appears when it is complete, holds the same memory as `from`, and is on the disk
/// (AtomicFile, mode 0600). It may take the place of the file that `from` reads.
[[nodiscard]] Result<CopyReport> copy_snapshot(const SnapshotReader& from, const std::string& to,
                                               const SnapshotWriteOptions& options);

}  // namespace vmsnap
