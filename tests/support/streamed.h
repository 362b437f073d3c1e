// SPDX-License-Identifier: BSD-2-Clause
// Snapshots through a pipe.
#pragma once

#include "base/bytes.h"
#include "snapshot/stream_reader.h"

namespace vmsnap::test {

/// What read_snapshot_stream() makes of `bytes` when another thread writes them into a pipe, which it closes
/// after them.
[[nodiscard]] Result<StreamedSnapshot> read_through_pipe(ByteView bytes, const PassOptions& pass = {},
                                                         bool allow_recovered = false);

}  // namespace vmsnap::test
