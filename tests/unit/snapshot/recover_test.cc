// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "../base/temp_dir.h"
#include "format/digest.h"
#include "ram/extent_batch.h"
#include "ram/extent_ram.h"
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

/// A file and what is in it.
struct Sound {
  ByteVector bytes;
  SnapshotContents contents;
  std::vector<ByteVector> segments;
};

std::vector<Sound> all_encodings_with_contents(const test::SmallSnapshot& source) {
  std::vector<Sound> all;
  for (ByteVector& bytes : all_encodings(source)) {
    all.push_back({std::move(bytes), source.contents(), source.segments()});
  }
  return all;
}

/// Extent 0: `text_pages` pages of text, and zeros. 1: zeros. 2: repeats 0. 3: two other pages of text.
ByteVector text_memory(std::uint32_t text_pages) {
  constexpr std::size_t kExtent = 1u << 18;
  ByteVector memory(3 * kExtent + 2 * kPageSize);
  const auto write = [&](std::size_t begin, std::size_t pages, unsigned first_letter) {
    for (std::size_t i = 0; i < pages * kPageSize; ++i) {
      memory[begin + i] = static_cast<std::byte>(i % 64 == 0 ? i / kPageSize + 1 : first_letter + i % 26);
    }
  };
  write(0, text_pages, 'a');
  write(2 * kExtent, text_pages, 'a');
  write(3 * kExtent, 2, 'A');
  return memory;
}

/// small() with text_memory() in three chunks: extent 0; extents 1 and 2, which need no body; extent 3.
/// Behind its devices there is a chunk of unknown meaning that may be copied.
Sound in_three_batches(const test::SmallSnapshot& source, const ByteVector& memory, std::uint32_t text_pages,
                       Codec codec) {
  Sound sound{{}, source.contents(), source.segments()};
  sound.segments[0] = memory;
  sound.contents.segments[0].bytes = memory;
  sound.contents.memory_map.segments[0].size = memory.size();
  sound.contents.memory_map.mappings[0].size = memory.size();
  SnapshotWriteOptions options;
  options.encoding = RamEncoding::kExtents;
  options.codec = codec;
  const File file = test::memory_file({});
  EXPECT_TRUE(write_snapshot(file, sound.contents, device_chunk_types(), options));
  test::RawSnapshot raw = test::RawSnapshot::parse(test::read_whole(file));
  const test::RawChunk whole = raw.find(kChunkExtentRam);
  const auto all = decode_extent_ram(whole.meta, memory.size(), whole.body.size(), codec);
  EXPECT_TRUE(all) << all.error().to_string();
  const std::vector<std::uint32_t>& sizes = all->block_sizes;
  const std::size_t cut = codec == Codec::kNone ? text_pages * kPageSize : sizes.at(0) + sizes.at(1);
  const auto middle = whole.body.begin() + static_cast<std::ptrdiff_t>(cut);
  std::vector<test::RawChunk> parts(3, whole);
  const auto fill = [](test::RawChunk& chunk, const ExtentRamMeta& meta, ByteVector body) {
    chunk.meta = encode(meta);
    chunk.body = std::move(body);
    chunk.body_hash = leaves_hash(meta.leaves);
  };
  const bool compressed = codec == Codec::kLz4;
  const auto blocks = [&](std::size_t first, std::size_t last) {
    return compressed ? std::vector<std::uint32_t>(sizes.begin() + static_cast<std::ptrdiff_t>(first),
                                                   sizes.begin() + static_cast<std::ptrdiff_t>(last))
                      : std::vector<std::uint32_t>();
  };
  const PageRun zeros{PageRunKind::kZero, 64 - text_pages, 0};
  fill(
      parts[0],
      {0, all->extent_shift, 0, {all->leaves[0]}, {{PageRunKind::kData, text_pages, 0}, zeros}, blocks(0, 2)},
      ByteVector(whole.body.begin(), middle));
  parts[1].spec.flags = kChunkCritical;
  fill(parts[1],
       {0,
        all->extent_shift,
        1,
        {all->leaves[1], all->leaves[2]},
        {{PageRunKind::kZero, 64, 0}, {PageRunKind::kDuplicate, text_pages, 0}, zeros},
        {}},
       {});
  fill(parts[2],
       {0, all->extent_shift, 3, {all->leaves[3]}, {{PageRunKind::kData, 2, 0}}, blocks(2, sizes.size())},
       ByteVector(middle, whole.body.end()));
  const auto place = raw.chunks.begin() + (&raw.find(kChunkExtentRam) - raw.chunks.data());
  raw.chunks.insert(raw.chunks.erase(place), parts.begin(), parts.end());
  const std::uint32_t schema = raw.add_schema(FourCc("xFOO"), "foreign");
  raw.chunks.push_back(
      {{FourCc("xFOO"), schema, 7, kChunkSafeToCopy}, ByteVector(24), ByteVector(500, std::byte{3}), 0});
  sound.bytes = raw.bytes();
  return sound;
}

/// Files that end too early.
class Cut : public Recover {
 protected:
  /// Recovers the first `size` bytes of a file: of its chunks that are whole everything is in the new one.
  void expect_whole_chunks(const Sound& sound, const SnapshotReader& before, std::uint64_t size) {
    const ByteVector damaged(sound.bytes.begin(), sound.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto refused = SnapshotReader::open(test::memory_file(damaged));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kTruncated);
    const auto report = recover(damaged);
    if (size < tables_end(before)) {
      ASSERT_FALSE(report);
      EXPECT_EQ(report.error().kind(), ErrorKind::kTruncated) << report.error().to_string();
      return;
    }
    ASSERT_TRUE(report) << report.error().to_string();
    SnapshotReader after = recovered();
    EXPECT_EQ(after.memory_map(), sound.contents.memory_map);
    expect_devices(sound, before, size, *report, after);
    for (std::uint32_t id = 0; id < sound.segments.size(); ++id) {
      expect_memory(sound.segments[id], before, size, *report, id);
    }
    expect_foreign_chunk(before, size, after);
    // The header of END says that everything before it was written.
    const auto chunks = before.container().chunks();
    const bool is_complete = chunks[chunks.size() - 2].meta_offset() <= size;
    EXPECT_EQ(report->losses.empty(), is_complete);
    EXPECT_EQ(std::vector(after.losses().begin(), after.losses().end()), report->losses);
    const auto restored = SnapshotReader::open(to_, {ReadLevel::kMeta, true});
    EXPECT_EQ(restored.has_value(), is_complete);
    if (!restored) {
      EXPECT_EQ(restored.error().kind(), ErrorKind::kUnsupported) << restored.error().to_string();
    }
  }

  static std::uint64_t tables_end(const SnapshotReader& before) {
    return before.container().find(kChunkMemoryMap)->meta_end();
  }

 private:
  static void expect_devices(const Sound& sound, const SnapshotReader& before, std::uint64_t size,
                             const RecoveryReport& report, SnapshotReader& after) {
    std::uint32_t kept = 0;
    for (const DeviceEntry& device : sound.contents.manifest.devices) {
      if (before.device_chunk(device.instance).meta_end() > size) {
        EXPECT_THAT(report.losses, Contains(lost_device(device.path)));
        continue;
      }
      ASSERT_LT(kept, after.manifest().devices.size());
      EXPECT_EQ(after.manifest().devices[kept].path, device.path);
      const auto state = after.device_state(kept);
      ASSERT_TRUE(state);
      EXPECT_EQ(*state, sound.contents.device_states[device.instance]);
      ++kept;
    }
    EXPECT_EQ(after.manifest().devices.size(), kept);
    EXPECT_EQ(report.devices_recovered, kept);
  }

  void expect_memory(const ByteVector& original, const SnapshotReader& before, std::uint64_t size,
                     const RecoveryReport& report, std::uint32_t id) {
    const ByteVector found = memory(id);
    ASSERT_EQ(found.size(), original.size());
    const std::uint64_t extent = std::uint64_t{1} << before.segment(id)->extent_shift();
    for (const ChunkRecord* chunk : before.segment_chunks(id)) {
      std::uint64_t begin = 0;
      std::uint64_t end = original.size();
      const bool flat = chunk->header.type == kChunkFlatRam;
      if (!flat) {
        const auto batch = ExtentBatch::read(before.container().file(), *chunk, original.size());
        ASSERT_TRUE(batch);
        begin = batch->begin();
        end = batch->end();
      }
      for (std::uint64_t at = begin; at < end; at += extent) {
        const std::uint64_t bytes = std::min(extent, end - at);
        const bool lost = std::any_of(report.losses.begin(), report.losses.end(), [&](const Loss& loss) {
          return loss.kind == Loss::Kind::kMemory && loss.segment == id && loss.offset <= at &&
                 at < loss.offset + loss.size;
        });
        SCOPED_TRACE(::testing::Message() << "segment " << id << " at " << at);
        if (chunk->body_end() <= size) {
          EXPECT_FALSE(lost);
        }
        if (flat) {
          EXPECT_EQ(lost, chunk->body_offset() + at + bytes > size);
        }
        const ByteView now = ByteView(found).subspan(at, bytes);
        EXPECT_TRUE(lost ? is_all_zero(now) : std::ranges::equal(now, ByteView(original).subspan(at, bytes)));
      }
    }
  }

  static void expect_foreign_chunk(const SnapshotReader& before, std::uint64_t size,
                                   const SnapshotReader& after) {
    std::size_t whole = 0;
    for (const ChunkRecord* chunk : before.unknown_chunks()) {
      if (chunk->body_end() <= size) ++whole;
    }
    ASSERT_EQ(after.unknown_chunks().size(), whole);
    for (const ChunkRecord* chunk : after.unknown_chunks()) {
      EXPECT_EQ(chunk->header.body_hash, before.unknown_chunks().front()->header.body_hash);
    }
  }
};

TEST_F(Cut, AtEvery64BytesTheWholeChunksOfEveryEncodingComeBackExactly) {
  const test::SmallSnapshot source = small();
  for (const Sound& sound : all_encodings_with_contents(source)) {
    const SnapshotReader before = open(sound.bytes);
    for (std::size_t size = 0; size < sound.bytes.size(); size += 64) {
      SCOPED_TRACE(size);
      ASSERT_NO_FATAL_FAILURE(expect_whole_chunks(sound, before, size));
    }
  }
}

TEST_F(Cut, AtEvery64BytesTheWholeBatchesOfASegmentComeBackExactly) {
  const test::SmallSnapshot source = small();
  // Compressed, the first extent has more than one block.
  for (const auto& [codec, text_pages] : {std::pair(Codec::kNone, 2u), std::pair(Codec::kLz4, 17u)}) {
    const ByteVector memory = text_memory(text_pages);
    const Sound sound = in_three_batches(source, memory, text_pages, codec);
    const auto before = SnapshotReader::open(test::memory_file(sound.bytes), {ReadLevel::kFull, true});
    ASSERT_TRUE(before) << before.error().to_string();
    ASSERT_EQ(before->segment_chunks(0).size(), 3u);
    for (std::uint64_t size = tables_end(*before) / 64 * 64; size < sound.bytes.size(); size += 64) {
      SCOPED_TRACE(size);
      ASSERT_NO_FATAL_FAILURE(expect_whole_chunks(sound, *before, size));
    }
  }
}

TEST_F(Cut, AroundTheEndOfEveryExtentTheWholeOnesOfAFlatSegmentComeBackExactly) {
  const test::SmallSnapshot source;
  const Sound sound{source.bytes(), source.contents(), source.segments()};
  const SnapshotReader before = open(sound.bytes);
  const ChunkRecord& chunk = *before.segment_chunks(2).front();
  for (std::uint64_t end = 1u << 18; end < source.segments()[2].size(); end += 1u << 18) {
    for (const std::uint64_t size : {end - 64, end, end + 64}) {
      SCOPED_TRACE(size);
      ASSERT_NO_FATAL_FAILURE(expect_whole_chunks(sound, before, chunk.body_offset() + size));
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
