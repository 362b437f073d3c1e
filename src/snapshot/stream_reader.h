// SPDX-License-Identifier: BSD-2-Clause
// A snapshot that comes through a pipe or a socket.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mapping.h"
#include "base/result.h"
#include "base/stream.h"
#include "format/file_header.h"
#include "ram/pass_options.h"
#include "snapshot/lost.h"
#include "snapshot/manifest.h"

namespace vmsnap {

/// A whole snapshot in memory.
struct StreamedSnapshot {
  FileHeader header;
  Digest128 root;
  Manifest manifest;
  MemoryMap memory_map;
  std::vector<ByteVector> device_states;  // by instance; their FlatBuffers are not verified against a schema
  std::vector<Mapping> segments;          // by segment id: private anonymous memory
  std::vector<Loss> losses;               // what a snapshot that was recovered from a damaged one lacks
  std::uint64_t size = 0;                 // bytes of the stream
};

/// Reads a snapshot of any encoding to the end of the stream, once and without a temporary file. Everything
/// is verified that SnapshotReader verifies at ReadLevel::kFull, and nothing of it is there to be used before
/// all is. Bodies that are not compressed are read straight into the pages of their segment. Faults are
/// reported as they come: of a stream with two, perhaps another one than of the same file. With two or more
/// `pass.threads`, reading goes on while what was read is decoded and hashed. A snapshot that was recovered
/// from a damaged one and says what it lacks is Unsupported unless `allow_recovered`.
///
/// Errors: Io; Truncated, Corrupt (with offset and chunk); Unsupported; LimitExceeded (the memory of the
/// guest is more than this process can map, or device states come to more than 1 GiB); InvalidState
/// (cancelled).
[[nodiscard]] Result<StreamedSnapshot> read_snapshot_stream(StreamSource& source,
                                                            const PassOptions& pass = {},
                                                            bool allow_recovered = false);

}  // namespace vmsnap
