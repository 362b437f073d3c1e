// SPDX-License-Identifier: BSD-2-Clause
// Rewrites a snapshot that comes through a pipe or a socket.
#pragma once

#include <string>

#include "base/result.h"
#include "base/sink.h"
#include "base/stream.h"
#include "snapshot/snapshot_copy.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// Does what copy_snapshot() does, with a snapshot that is read once, front to back, and needs no file in
/// between. What the stream brings is passed on as it comes, in the same order, but for schemas, which go
/// first where their use is known. Everything is verified that read_snapshot_stream() verifies, before the
/// end of the new file is written. Memory use: a few batches of guest memory for each thread, the metas of
/// memory chunks, and up to 64 MiB of schemas.
///
/// Extents that repeat others are stored once where the stream says so: to find others would take bytes that
/// are gone. Faults are reported as they come, like those of read_snapshot_stream().
///
/// A file in `to` has been verified to hold the same memory. What a stream in `to` has got after an error is
/// incomplete, and so refused by its reader.
///
/// Errors: Io; Truncated, Corrupt (of the stream, with offset and chunk); Unsupported (also: a critical chunk
/// that may not be copied); Usage (options and sink do not go together); LimitExceeded (also: memory that
/// repeats single pages, when `to` is not a file that they can be verified in); InvalidState (cancelled).
[[nodiscard]] Result<CopyReport> copy_stream(StreamSource& from, Sink& to,
                                             const SnapshotWriteOptions& options);

/// The same into a file that appears when it is complete and on the disk (AtomicFile, mode 0600).
[[nodiscard]] Result<CopyReport> copy_stream(StreamSource& from, const std::string& to,
                                             const SnapshotWriteOptions& options);

}  // namespace vmsnap
