// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "core/guest_memory.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::vmm {

/// When the contents of RAM are checked against their hashes.
enum class RamVerify : std::uint8_t {
  kNone,  // never
  kLazy,  // each extent before the guest sees a byte of it; for memory that is restored lazily
  kFull,  // all of it, before the guest runs
};

struct MemoryRequest {
  /// kMapped, kEager or kLazy. Absent: kMapped where the file can be mapped, else kEager.
  std::optional<MemoryOrigin> engine;
  std::optional<RamVerify> verify;  // absent: kLazy for lazy memory, else kFull
  /// For lazy memory: called once, from a thread of its own, when a part of it cannot be restored. Threads
  /// that touch it wait for ever, so this must end the process (LazyOptions::on_error).
  std::function<void(const Error&)> on_error;
};

/// The guest memory of a snapshot, whose memory segments are consumed. Memory that is restored lazily keeps
/// `reader` until it is filled. Errors: Io, Truncated; Corrupt; Usage (an engine that this file cannot be
/// restored by, or `verify` and `engine` that do not go together); Unsupported (no userfaultfd).
[[nodiscard]] Result<GuestMemory> restore_memory(const std::shared_ptr<SnapshotReader>& reader,
                                                 const MemoryRequest& request);

}  // namespace vmsnap::vmm
