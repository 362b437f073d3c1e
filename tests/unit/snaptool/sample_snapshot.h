// SPDX-License-Identifier: BSD-2-Clause
// Snapshots of a small machine with known contents, one device of which the tool was not built with.
#pragma once

#include <cstdint>
#include <string>

#include "base/fourcc.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {

/// Contents of a snapshot that own what they refer to.
struct Sample {
  SnapshotContents contents;
  ByteVector low_memory;
  ByteVector boot_rom;
};

/// Instances of the devices of a sample.
enum SampleDevice : std::uint32_t { kCpu0 = 0, kCpu1 = 1, kUart = 2, kDisk = 3, kWormhole = 4 };

/// Two CPUs, a UART, a disk at pci0/00:03.0 and a wormhole; two segments of memory of 64 KiB and 16 KiB, of
/// which 8 KiB are not zero. Always the same.
[[nodiscard]] Sample make_sample();

/// The state of a wormhole with that weather at its far ends; 9 is a storm, 5 has no name.
[[nodiscard]] ByteVector make_wormhole_state(std::uint8_t weather = 9);

/// The chunk types of make_sample(): those of the build and the wormhole.
[[nodiscard]] std::vector<ChunkType> sample_chunk_types();

/// Writes contents with a fixed UUID; aborts when that fails.
SnapshotSummary write_sample(const std::string& path, const SnapshotContents& contents);
SnapshotSummary write_sample(const std::string& path);

/// Copies a snapshot and adds a chunk "xNEW" with the fields of a wormhole that the manifest does not name.
void add_unnamed_chunk(const std::string& from, const std::string& to, std::uint32_t flags);

/// Changes one byte of a file.
void flip_byte(const std::string& path, std::uint64_t offset);
/// Makes the file claim to have major version 2 of the format, with a header that verifies.
void claim_next_major(const std::string& path);

}  // namespace vmsnap
