// SPDX-License-Identifier: BSD-2-Clause
// Snapshots through a pipe.
#pragma once

#include <functional>

#include "base/bytes.h"
#include "snapshot/stream_copy.h"
#include "snapshot/stream_reader.h"

namespace vmsnap::test {

/// Calls `use` with the end of a pipe into which another thread writes `bytes`; it closes its own end after
/// them. `use` need not read them all.
void through_pipe(ByteView bytes, const std::function<void(StreamSource& source)>& use);

/// What read_snapshot_stream() makes of `bytes` that come through a pipe.
[[nodiscard]] Result<StreamedSnapshot> read_through_pipe(ByteView bytes, const PassOptions& pass = {},
                                                         bool allow_recovered = false);

/// What copy_stream() makes of `bytes` that come through a pipe, in a file.
[[nodiscard]] Result<CopyReport> copy_through_pipe(ByteView bytes, const std::string& to,
                                                   const SnapshotWriteOptions& options);
/// The same into another pipe; `to` becomes what comes out of that.
[[nodiscard]] Result<CopyReport> copy_through_pipes(ByteView bytes, ByteVector& to,
                                                    const SnapshotWriteOptions& options);

}  // namespace vmsnap::test
