// SPDX-License-Identifier: BSD-2-Clause
// What a person may call a part of a snapshot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {

/// A name for a chunk of an open snapshot, which must outlive it.
struct ChunkName {
  std::string name;
  const ChunkRecord* chunk = nullptr;
};

/// Every name of the snapshot: "manifest", "memory"; the path of each device; each type of which there is
/// one device only; "chunk#N" and the name used in error messages ("UART#17") of every chunk. A name that
/// stands for two things belongs to the first of these.
[[nodiscard]] std::vector<ChunkName> chunk_names(const SnapshotReader& reader);

struct Selection {
  ChunkName target;
  std::string_view field;  // path inside the chunk's meta, see reflect::find; empty is everything
};

/// Splits "NAME" or "NAME.FIELD". Device paths contain dots: the longest name that fits is meant. `selector`
/// must outlive the result. Errors: Usage, with a list of what exists.
[[nodiscard]] Result<Selection> select(const SnapshotReader& reader, std::string_view selector);

}  // namespace vmsnap::snaptool
