// SPDX-License-Identifier: BSD-2-Clause
// Snapshots to copy, and what a copy is held against.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_copy.h"

namespace vmsnap::test {

inline const SnapshotReadOptions kTool{ReadLevel::kFull, true, {}, true};

inline SnapshotWriteOptions encoded(RamEncoding encoding, Codec codec = Codec::kNone, unsigned threads = 1) {
  SnapshotWriteOptions options;
  options.encoding = encoding;
  options.codec = codec;
  options.pass.threads = threads;
  return options;
}

inline const std::vector<SnapshotWriteOptions>& all_encodings() {
  static const std::vector<SnapshotWriteOptions> all = {encoded(RamEncoding::kFlat),
                                                        encoded(RamEncoding::kExtents),
                                                        encoded(RamEncoding::kExtents, Codec::kLz4, 2)};
  return all;
}

inline SnapshotReader open(const std::string& path) {
  auto reader = SnapshotReader::open(path, kTool);
  EXPECT_TRUE(reader) << reader.error().to_string();
  return *std::move(reader);
}

inline SnapshotReader open(const ByteVector& bytes) {
  auto reader = SnapshotReader::open(memory_file(bytes), kTool);
  EXPECT_TRUE(reader) << reader.error().to_string();
  return *std::move(reader);
}

inline ByteVector memory_of(const SnapshotReader& reader, std::uint32_t id) {
  const auto segment = reader.segment(id);
  EXPECT_TRUE(segment);
  ByteVector bytes(segment->size());
  EXPECT_TRUE(load_segment(*segment, bytes, true));
  return bytes;
}

inline void expect_same_machine(SnapshotReader& a, SnapshotReader& b) {
  EXPECT_EQ(a.manifest(), b.manifest());
  EXPECT_EQ(a.memory_map(), b.memory_map());
  EXPECT_EQ(a.header().arch, b.header().arch);
  EXPECT_NE(a.header().uuid, b.header().uuid);
  for (const DeviceEntry& device : a.manifest().devices) {
    const auto one = a.device_state(device.instance);
    const auto other = b.device_state(device.instance);
    ASSERT_TRUE(one && other);
    EXPECT_EQ(*one, *other);
    EXPECT_EQ(a.device_chunk(device.instance).header.flags, b.device_chunk(device.instance).header.flags);
    const EmbeddedSchema* schema = a.schema_of(a.device_chunk(device.instance));
    const EmbeddedSchema* copied = b.schema_of(b.device_chunk(device.instance));
    EXPECT_EQ(schema->content_hash, copied->content_hash);
    EXPECT_EQ(schema->version, copied->version);
  }
  const auto before = a.memory_digest();
  const auto after = b.memory_digest();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(*before, *after);
}

/// A snapshot with a chunk that no build knows.
inline ByteVector with_foreign_chunk(std::uint32_t flags, std::size_t body_size = 0) {
  RawSnapshot raw = RawSnapshot::parse(SmallSnapshot().bytes());
  const std::uint32_t schema = raw.add_schema(FourCc("xFOO"), "foreign", 3, 4);
  ByteVector body(body_size, std::byte{0x5A});
  raw.chunks.push_back(
      {{FourCc("xFOO"), schema, 7, flags}, ByteVector(24, std::byte{1}), std::move(body), 99});
  return raw.bytes();
}

}  // namespace vmsnap::test
