// SPDX-License-Identifier: BSD-2-Clause
// The states of a snapshot's devices in the versions that the mappings know: the newest.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bhyve/convert/engine/report.h"
#include "migrate/convert.h"
#include "snapshot/manifest.h"
#include "versions/versions.h"

namespace vmsnap::compat::bhyve {

/// Not thread-safe.
class NewestStates {
 public:
  /// `state`, of `device`, in the newest version of its type. Errors: Unsupported (a type that this build
  /// does not know; a loss that the guest could notice, with what it is); those of Migrator::convert().
  [[nodiscard]] Result<ByteVector> bring(const DeviceEntry& device, ByteVector state);

  /// What was assumed or left out on the way, since the last call.
  [[nodiscard]] std::vector<Remark> take_remarks() { return std::exchange(remarks_, {}); }

 private:
  [[nodiscard]] Result<const Migrator*> migrator();

  std::vector<ChunkType> types_ = frozen_device_chunk_types();
  std::optional<Migrator> migrator_;  // most snapshots need none
  std::vector<Remark> remarks_;
};

}  // namespace vmsnap::compat::bhyve
