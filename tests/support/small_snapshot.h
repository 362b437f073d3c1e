// SPDX-License-Identifier: BSD-2-Clause
// A small but complete snapshot for tests: a few devices and a few segments of memory with holes in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "format/chunk_type.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::test {

struct SmallSnapshotOptions {
  std::uint64_t ram_low_size = 64u << 10;  // bytes, 16 KiB or more
  bool large_segment = true;               // adds "ram-high": 2 MiB and 68 KiB, mostly holes
};

/// Owns everything that its contents() refers to. The same options give the same bytes, always.
///
/// Devices: 0 uart16550 at isa0/uart@3f8 with slot console0; 1 mc146818 at isa0/rtc@70; 2 uart16550 at
/// isa0/uart@2f8, restored after 0 and 1. Segments: 0 ram-low, 1 bootrom (device memory, read-only, mapped
/// twice), 2 ram-high if asked for. In ram-low the third page is zero and the others are not; the bootrom is
/// full; ram-high has data in its first page, in a page of the fourth extent, and in its last page.
class SmallSnapshot {
 public:
  explicit SmallSnapshot(const SmallSnapshotOptions& options = {});

  /// Borrows from this object.
  [[nodiscard]] SnapshotContents contents() const;
  [[nodiscard]] const std::vector<ByteVector>& segments() const { return segments_; }

  /// The whole file, with the UUID 00112233-4455-4677-8899-aabbccddeeff.
  [[nodiscard]] ByteVector bytes(RamEncoding encoding = RamEncoding::kFlat, Codec codec = Codec::kNone) const;

 private:
  std::vector<ByteVector> segments_;
};

[[nodiscard]] Uuid test_uuid();

/// Device states as a device would save them.
[[nodiscard]] ByteVector uart_state(std::uint8_t scratch);
[[nodiscard]] ByteVector rtc_state();

/// A file without a name that holds a copy of `bytes`.
[[nodiscard]] File memory_file(ByteView bytes);
[[nodiscard]] ByteVector read_whole(const File& file);
[[nodiscard]] ByteVector read_whole(const std::string& path);
void write_whole(const std::string& path, ByteView bytes);

}  // namespace vmsnap::test
