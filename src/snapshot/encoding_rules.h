// SPDX-License-Identifier: BSD-2-Clause
// What whoever writes a snapshot must mind about the layout of memory.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/sink.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// Errors: Usage (encoding, codec and sink do not go together).
[[nodiscard]] Result<void> check_encoding(const Sink& sink, const SnapshotWriteOptions& options);

/// log2 of the alignment of RAM bodies in a file whose largest flat segment has that many bytes.
[[nodiscard]] std::uint8_t choose_body_align_shift(std::uint64_t largest_flat_segment);

}  // namespace vmsnap
