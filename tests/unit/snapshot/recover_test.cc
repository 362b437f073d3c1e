// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "../base/temp_dir.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/check.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SnapshotReadOptions kRecovered{ReadLevel::kFull, false, {}, true};

/// One extent of ram-low (16 KiB), one of the boot ROM.
test::SmallSnapshot small() {
  return test::SmallSnapshot({16u << 10, false});
}

ByteVector encoded(const test::SmallSnapshot& source, RamEncoding encoding, Codec codec) {
  const File file = test::memory_file({});
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  options.encoding = encoding;
  options.codec = codec;
  EXPECT_TRUE(write_snapshot(file, source.contents(), device_chunk_types(), options));
  return test::read_whole(file);
}

std::vector<ByteVector> all_encodings(const test::SmallSnapshot& source) {
  return {encoded(source, RamEncoding::kFlat, Codec::kNone),
          encoded(source, RamEncoding::kExtents, Codec::kNone),
          encoded(source, RamEncoding::kExtents, Codec::kLz4)};
}

SnapshotReader open(const ByteVector& bytes) {
  auto reader = SnapshotReader::open(test::memory_file(bytes));
  EXPECT_TRUE(reader) << reader.error().to_string();
  return *std::move(reader);
}

class Recover : public ::testing::Test {
 protected:
  Result<RecoveryReport> recover(const ByteVector& bytes) {
    return recover_snapshot(test::memory_file(bytes), to_);
  }

  /// What was recovered, as a restore that was told to go ahead opens it.
  SnapshotReader recovered() {
    auto reader = SnapshotReader::open(to_, kRecovered);
    EXPECT_TRUE(reader) << reader.error().to_string();
    return *std::move(reader);
  }

  ByteVector memory(std::uint32_t id) {
    const SnapshotReader reader = recovered();
    const auto segment = reader.segment(id);
    EXPECT_TRUE(segment);
    ByteVector bytes(segment->size());
    EXPECT_TRUE(load_segment(*segment, bytes, true));
    return bytes;
  }

  TempDir dir_;
  std::string to_ = dir_.file("recovered.vmsnap");
};

auto lost_device(const std::string& path) {
  return ::testing::AllOf(Field(&Loss::kind, Loss::Kind::kDevice), Field(&Loss::path, path));
}

auto lost_memory(std::uint32_t segment, std::uint64_t offset, std::uint64_t size) {
  return ::testing::AllOf(Field(&Loss::kind, Loss::Kind::kMemory), Field(&Loss::segment, segment),
                          Field(&Loss::offset, offset), Field(&Loss::size, size));
}

TEST_F(Recover, MakesAnUnmarkedFileOfAWholeOne) {
  const test::SmallSnapshot source;
  for (const ByteVector& bytes : all_encodings(source)) {
    const auto report = recover(bytes);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->losses, IsEmpty());
    EXPECT_EQ(report->devices_recovered, report->devices);
    EXPECT_EQ(report->memory_recovered, report->written.ram_bytes);
    const auto reader = SnapshotReader::open(to_, {ReadLevel::kFull, false});
    ASSERT_TRUE(reader) << reader.error().to_string();
    EXPECT_EQ(reader->manifest(), source.contents().manifest);
    EXPECT_EQ(reader->header().features, open(bytes).header().features);
    for (std::uint32_t id = 0; id < source.segments().size(); ++id)
      EXPECT_EQ(memory(id), source.segments()[id]);
    EXPECT_THAT(check_snapshot(to_, ReadLevel::kFull).findings, IsEmpty());
  }
}

TEST_F(Recover, FindsNothingMissingWhenOnlyBookkeepingIsDamaged) {
  const test::SmallSnapshot source = small();
  const ByteVector bytes = source.bytes();
  const SnapshotReader sound = open(bytes);
  const auto chunks = sound.container().chunks();
  const ChunkRecord& index = chunks.back();
  const ChunkRecord& end = chunks[chunks.size() - 2];
  for (const std::uint64_t at :
       {index.offset + 8, index.meta_offset() + 8, end.offset + 8, end.meta_offset() + 8, index.end + 8}) {
    ByteVector damaged = bytes;
    damaged[at] ^= std::byte{1};
    const auto report = recover(damaged);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->losses, IsEmpty()) << at;
    EXPECT_TRUE(SnapshotReader::open(to_, {ReadLevel::kFull, false}));
  }
}

TEST_F(Recover, FromAStreamCutAtEvery64BytesTheWholeChunksComeBackExactly) {
  const test::SmallSnapshot source = small();
  const SnapshotContents contents = source.contents();
  for (const ByteVector& bytes : all_encodings(source)) {
    SnapshotReader sound = open(bytes);
    std::uint64_t tables_end = 0;
    for (const ChunkRecord& chunk : sound.container().chunks()) {
      if (chunk.header.type == kChunkMemoryMap) tables_end = chunk.meta_end();
    }
    for (std::size_t size = 0; size < bytes.size(); size += 64) {
      SCOPED_TRACE(size);
      const auto report =
          recover(ByteVector(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
      if (size < tables_end) {
        ASSERT_FALSE(report);
        EXPECT_EQ(report.error().kind(), ErrorKind::kTruncated) << report.error().to_string();
        continue;
      }
      ASSERT_TRUE(report) << report.error().to_string();
      SnapshotReader reader = recovered();
      EXPECT_EQ(reader.memory_map(), contents.memory_map);
      std::size_t devices = 0;
      for (const DeviceEntry& device : contents.manifest.devices) {
        if (sound.device_chunk(device.instance).meta_end() > size) {
          EXPECT_THAT(report->losses, Contains(lost_device(device.path)));
          continue;
        }
        const auto state = reader.device_state(static_cast<std::uint32_t>(devices));
        ASSERT_TRUE(state);
        EXPECT_EQ(*state, contents.device_states[device.instance]);
        EXPECT_EQ(reader.manifest().devices[devices].path, device.path);
        ++devices;
      }
      EXPECT_EQ(reader.manifest().devices.size(), devices);
      EXPECT_EQ(report->devices_recovered, devices);
      for (std::uint32_t id = 0; id < source.segments().size(); ++id) {
        const ByteVector& before = source.segments()[id];
        if (sound.segment_chunks(id).back()->body_end() <= size) {
          EXPECT_EQ(memory(id), before);
        } else {
          EXPECT_EQ(memory(id), ByteVector(before.size()));
          EXPECT_THAT(report->losses, Contains(lost_memory(id, 0, before.size())));
        }
      }
      // The header of END says that everything before it was written.
      const auto chunks = sound.container().chunks();
      const bool is_complete = chunks[chunks.size() - 2].meta_offset() <= size;
      EXPECT_EQ(report->losses.empty(), is_complete);
      EXPECT_EQ(reader.header().has_incompatible(kFeatureRecovered), !report->losses.empty());
      EXPECT_EQ(std::vector(reader.losses().begin(), reader.losses().end()), report->losses);
    }
  }
}

TEST_F(Recover, KeepsTheExtentsOfACutSegmentThatAreWhole) {
  const test::SmallSnapshot source;
  const ByteVector bytes = source.bytes();
  const std::uint64_t extent = 1u << 18;
  const std::uint64_t cut = open(bytes).segment_chunks(2).front()->body_offset() + 4 * extent + 100;
  const auto report = recover(ByteVector(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)));
  ASSERT_TRUE(report) << report.error().to_string();
  const ByteVector& before = source.segments()[2];
  EXPECT_THAT(report->losses, Contains(lost_memory(2, 4 * extent, before.size() - 4 * extent)));
  EXPECT_EQ(report->memory_recovered, report->written.ram_bytes - (before.size() - 4 * extent));
  ByteVector expected = before;
  std::fill(expected.begin() + 4 * extent, expected.end(), std::byte{0});
  EXPECT_EQ(memory(2), expected);
  EXPECT_EQ(memory(0), source.segments()[0]);
}

TEST_F(Recover, GoesOnBehindADamagedChunkHeader) {
  const test::SmallSnapshot source;
  for (ByteVector bytes : all_encodings(source)) {
    const SnapshotReader sound = open(bytes);
    const std::uint64_t header = sound.segment_chunks(0).front()->offset;
    bytes[header + 20] ^= std::byte{1};
    const auto report = recover(bytes);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->losses, ElementsAre(lost_memory(0, 0, source.segments()[0].size())));
    EXPECT_EQ(report->devices_recovered, 3u);
    EXPECT_EQ(memory(0), ByteVector(source.segments()[0].size()));
    EXPECT_EQ(memory(1), source.segments()[1]);
    EXPECT_EQ(memory(2), source.segments()[2]);
  }
}

TEST_F(Recover, LosesOnlyTheExtentThatIsDamaged) {
  const test::SmallSnapshot source;
  for (ByteVector bytes : all_encodings(source)) {
    const SnapshotReader sound = open(bytes);
    // The first data of ram-high is in its first extent.
    const std::uint64_t place = sound.segment_chunks(2).front()->body_offset() + 10;
    bytes[place] ^= std::byte{1};
    const auto report = recover(bytes);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->losses, ElementsAre(lost_memory(2, 0, 1u << 18)));
    ByteVector expected = source.segments()[2];
    std::fill(expected.begin(), expected.begin() + (1 << 18), std::byte{0});
    EXPECT_EQ(memory(2), expected);
  }
}

TEST_F(Recover, LosesWhatRepeatsALostExtentToo) {
  ByteVector memory(4u << 18);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<std::byte>((i * 2654435761u) >> 13);
  std::copy_n(memory.begin(), 1 << 18, memory.begin() + (2 << 18));
  SnapshotContents contents;
  contents.manifest.producer_name = "test";
  contents.manifest.producer_version = "1";
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, memory.size()}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), memory.size(), false}};
  contents.segments = {{memory, false}};
  const File file = test::memory_file({});
  SnapshotWriteOptions options;
  options.encoding = RamEncoding::kExtents;
  ASSERT_TRUE(write_snapshot(file, contents, {}, options));
  ByteVector bytes = test::read_whole(file);
  bytes[open(bytes).segment_chunks(0).front()->body_offset() + 10] ^= std::byte{1};
  const auto report = recover(bytes);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->losses, ElementsAre(lost_memory(0, 0, 1u << 18), lost_memory(0, 2u << 18, 1u << 18)));
}

TEST_F(Recover, LeavesALostDeviceOutOfTheManifestAndNumbersTheOthersAnew) {
  const test::SmallSnapshot source = small();
  ByteVector bytes = source.bytes();
  bytes[open(bytes).device_chunk(0).meta_offset() + 30] ^= std::byte{1};
  const auto report = recover(bytes);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->losses, ElementsAre(lost_device("isa0/uart@3f8")));
  SnapshotReader reader = recovered();
  const std::vector<DeviceEntry>& devices = reader.manifest().devices;
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].path, "isa0/rtc@70");
  EXPECT_EQ(devices[1].path, "isa0/uart@2f8");
  EXPECT_THAT(devices[1].restore_after, ElementsAre(0));
  EXPECT_EQ(reader.device_state(1).value(), source.contents().device_states[2]);
}

TEST_F(Recover, LosesDevicesWhoseSchemaIsLost) {
  const test::SmallSnapshot source = small();
  ByteVector bytes = source.bytes();
  {
    const SnapshotReader sound = open(bytes);
    const EmbeddedSchema* schema = sound.schema_of(sound.device_chunk(0));
    bytes[sound.container().chunks()[schema->chunk].body_offset() + 100] ^= std::byte{1};
  }
  const auto report = recover(bytes);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->losses, Contains(lost_device("isa0/uart@3f8")));
  EXPECT_THAT(report->losses, Contains(lost_device("isa0/uart@2f8")));
  EXPECT_EQ(recovered().manifest().devices.size(), 1u);
}

TEST_F(Recover, DoesWithoutTheSchemasOfTheContainer) {
  const test::SmallSnapshot source = small();
  const ByteVector bytes = source.bytes();
  const SnapshotReader sound = open(bytes);
  for (const EmbeddedSchema& schema : sound.schemas()) {
    if (!is_container_chunk(schema.chunk_type)) continue;
    SCOPED_TRACE(schema.name);
    ByteVector damaged = bytes;
    damaged[sound.container().chunks()[schema.chunk].meta_offset() + 10] ^= std::byte{1};
    const auto report = recover(damaged);
    ASSERT_TRUE(report) << report.error().to_string();
    ASSERT_EQ(report->losses.size(), 1u);
    EXPECT_EQ(report->losses[0].type, "SCHM");
    EXPECT_EQ(recovered().manifest(), sound.manifest());
    EXPECT_EQ(memory(0), source.segments()[0]);
  }
}

TEST_F(Recover, GivesUpWithoutManifestOrMemoryMapAndSaysWhatVerifies) {
  const ByteVector bytes = small().bytes();
  const SnapshotReader sound = open(bytes);
  for (const ChunkRecord& chunk : sound.container().chunks()) {
    if (chunk.header.type != kChunkManifest && chunk.header.type != kChunkMemoryMap) continue;
    for (const std::uint64_t at : {chunk.offset + 30, chunk.meta_offset() + 30}) {
      ByteVector damaged = bytes;
      damaged[at] ^= std::byte{1};
      const auto report = recover(damaged);
      ASSERT_FALSE(report);
      EXPECT_EQ(report.error().kind(), ErrorKind::kCorrupt);
      EXPECT_THAT(report.error().message(), HasSubstr("2 RAMF"));
      EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
    }
  }
}

TEST_F(Recover, GivesUpWithoutTheFileHeader) {
  ByteVector bytes = small().bytes();
  bytes[60] ^= std::byte{1};
  EXPECT_EQ(recover(bytes).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(recover({}).error().kind(), ErrorKind::kTruncated);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(Recover, TakesNothingFromASnapshotThatLiesInGuestMemory) {
  const ByteVector inner = small().bytes();
  ByteVector memory(1u << 20);
  std::copy(inner.begin(), inner.end(), memory.begin() + 4096);
  SnapshotContents contents = small().contents();
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, memory.size()}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), memory.size(), false}};
  contents.segments = {{memory, false}};
  const File file = test::memory_file({});
  ASSERT_TRUE(write_snapshot(file, contents, device_chunk_types()));
  ByteVector bytes = test::read_whole(file);
  bytes[open(bytes).segment_chunks(0).front()->offset + 30] ^= std::byte{1};
  const auto report = recover(bytes);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->losses, ElementsAre(lost_memory(0, 0, memory.size())));
  EXPECT_EQ(report->devices_recovered, 3u);
}

TEST_F(Recover, KeepsAForeignChunkOnlyIfItMayBeCopied) {
  for (const std::uint32_t flags : {0u, std::uint32_t{kChunkSafeToCopy}}) {
    test::RawSnapshot raw = test::RawSnapshot::parse(small().bytes());
    const std::uint32_t schema = raw.add_schema(FourCc("xFOO"), "foreign");
    raw.chunks.push_back(
        {{FourCc("xFOO"), schema, 7, flags}, ByteVector(24), ByteVector(5000, std::byte{3}), 0});
    const auto report = recover(raw.bytes());
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->losses.empty(), flags != 0);
    auto reader = SnapshotReader::open(to_, {ReadLevel::kFull, true, {}, true});
    ASSERT_TRUE(reader) << reader.error().to_string();
    EXPECT_EQ(reader->unknown_chunks().size(), flags != 0 ? 1u : 0u);
  }
}

TEST_F(Recover, RemembersWhatAFileLackedThatIsDamagedAgain) {
  ByteVector bytes = small().bytes();
  bytes[open(bytes).device_chunk(0).meta_offset() + 30] ^= std::byte{1};
  ASSERT_TRUE(recover(bytes));
  bytes = test::read_whole(to_);
  const auto again = recover(bytes);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_THAT(again->losses, ElementsAre(lost_device("isa0/uart@3f8")));
  {
    const SnapshotReader reader = recovered();
    bytes[reader.device_chunk(0).meta_offset() + 30] ^= std::byte{1};
  }
  const auto third = recover(bytes);
  ASSERT_TRUE(third) << third.error().to_string();
  EXPECT_THAT(third->losses, ElementsAre(lost_device("isa0/uart@3f8"), lost_device("isa0/rtc@70")));
}

TEST_F(Recover, ARestoreRefusesWhatWasRecoveredUnlessItIsTold) {
  ByteVector bytes = small().bytes();
  bytes[open(bytes).device_chunk(0).meta_offset() + 30] ^= std::byte{1};
  ASSERT_TRUE(recover(bytes));
  const auto refused = SnapshotReader::open(to_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("isa0/uart@3f8"));
  EXPECT_TRUE(SnapshotReader::open(to_, kRecovered));
  const CheckReport report = check_snapshot(to_, ReadLevel::kFull);
  EXPECT_FALSE(report.error);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(to_string(report.findings[0].code), "lost");
}

TEST_F(Recover, LeavesNothingBehindWhenItIsCancelled) {
  const std::atomic<bool> cancelled = true;
  const auto report = recover_snapshot(test::memory_file(small().bytes()), to_, {1, {}, &cancelled});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kInvalidState);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(Recover, NeverEndsWithAnUnsoundFileWhateverIsDamaged) {
  const ByteVector bytes = encoded(small(), RamEncoding::kExtents, Codec::kLz4);
  std::size_t recovered_files = 0;
  for (std::size_t at = 192; at < bytes.size(); at += 41) {
    ByteVector damaged = bytes;
    damaged[at] ^= std::byte{0x10};
    const auto report = recover(damaged);
    if (!report) {
      ASSERT_EQ(report.error().kind(), ErrorKind::kCorrupt) << at << ": " << report.error().to_string();
      continue;
    }
    ++recovered_files;
    const auto reader = SnapshotReader::open(to_, kRecovered);
    ASSERT_TRUE(reader) << at << ": " << reader.error().to_string();
  }
  EXPECT_GT(recovered_files, bytes.size() / 41 / 2);
}

/// The rules of LOST.
class Lost : public Recover {
 protected:
  /// A recovered file that lacks one device.
  test::RawSnapshot marked() {
    ByteVector bytes = small().bytes();
    bytes[open(bytes).device_chunk(0).meta_offset() + 30] ^= std::byte{1};
    EXPECT_TRUE(recover(bytes));
    return test::RawSnapshot::parse(test::read_whole(to_));
  }
  static ErrorKind kind_of(const test::RawSnapshot& raw) {
    const auto reader =
        SnapshotReader::open(test::memory_file(raw.bytes()), {ReadLevel::kFull, true, {}, true});
    return reader ? ErrorKind::kInternal : reader.error().kind();
  }
};

TEST_F(Lost, TheMarkWithoutTheListIsUnsupportedToEveryReader) {
  test::RawSnapshot raw = marked();
  raw.chunks.pop_back();
  EXPECT_EQ(kind_of(raw), ErrorKind::kUnsupported);
}

TEST_F(Lost, TheListWithoutTheMarkIsCorrupt) {
  test::RawSnapshot raw = marked();
  raw.header.features.clear();
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
}

TEST_F(Lost, TheListStandsDirectlyBeforeTheEnd) {
  test::RawSnapshot raw = marked();
  ASSERT_EQ(raw.chunks.back().spec.type, kChunkLost);
  std::swap(raw.chunks.back(), raw.chunks[raw.chunks.size() - 2]);
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
}

TEST_F(Lost, ThereIsOneListWithInstanceZeroCriticalAndWithoutBody) {
  test::RawSnapshot raw = marked();
  raw.chunks.push_back(raw.chunks.back());
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
  raw = marked();
  raw.chunks.back().spec.instance = 1;
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
  raw = marked();
  raw.chunks.back().spec.flags = 0;
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
  raw = marked();
  raw.chunks.back().body = ByteVector(8);
  EXPECT_EQ(kind_of(raw), ErrorKind::kCorrupt);
}

TEST(LostMeta, ComesBackAsItWas) {
  const MemoryMap map{{{0, "ram", SegmentKind::kSystemMemory, 1u << 20}}, {}};
  const std::vector<Loss> losses = {
      {Loss::Kind::kDevice, "why", "cpu0", "x86_cpu", 3, 0, 0, 0},
      {Loss::Kind::kMemory, "why", "", "", 0, 0, 4096, 8192},
      {Loss::Kind::kChunk, "because", "", "xFOO", 9, 0, 0, 0},
  };
  const auto meta = encode(losses, map);
  ASSERT_TRUE(meta);
  const auto decoded = decode_lost(*meta, map);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, losses);
  EXPECT_EQ(to_string(losses[0], map), "device cpu0 (x86_cpu): why");
  EXPECT_EQ(to_string(losses[1], map), "8192 bytes of memory segment \"ram\" from 0x1000: why");
  EXPECT_EQ(to_string(losses[2], map), "a chunk xFOO with instance 9: because");
}

TEST(LostMeta, RefusesWhatCannotBe) {
  const MemoryMap map{{{0, "ram", SegmentKind::kSystemMemory, 1u << 20}}, {}};
  const std::vector<std::pair<std::vector<Loss>, std::string>> cases = {
      {{}, "losses"},
      {{{Loss::Kind::kChunk, "", "", "", 0, 0, 0, 0}}, "losses.reason"},
      {{{Loss::Kind::kChunk, std::string(1025, 'a'), "", "", 0, 0, 0, 0}}, "losses.reason"},
      {{{Loss::Kind::kChunk, "\xff", "", "", 0, 0, 0, 0}}, "losses.reason"},
      {{{Loss::Kind::kDevice, "why", "a b", "uart", 0, 0, 0, 0}}, "losses.path"},
      {{{Loss::Kind::kChunk, "why", "", std::string(64, 'a'), 0, 0, 0, 0}}, "losses.type"},
      {{{Loss::Kind::kMemory, "why", "", "", 0, 1, 0, 4096}}, "losses.segment"},
      {{{Loss::Kind::kMemory, "why", "", "", 0, 0, 0, 0}}, "losses.offset"},
      {{{Loss::Kind::kMemory, "why", "", "", 0, 0, 100, 4096}}, "losses.offset"},
      {{{Loss::Kind::kMemory, "why", "", "", 0, 0, 4096, 1u << 20}}, "losses.offset"},
      {{{Loss::Kind::kMemory, "why", "", "", 0, 0, ~std::uint64_t{4095}, 8192}}, "losses.offset"},
  };
  for (const auto& [losses, field] : cases) {
    const auto meta = encode(losses, map);
    ASSERT_FALSE(meta) << field;
    EXPECT_EQ(meta.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(meta.error().field(), field);
  }
}

}  // namespace
}  // namespace vmsnap
