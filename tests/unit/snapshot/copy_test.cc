// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "../base/temp_dir.h"
#include "copies.h"
#include "random_memory.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/lost.h"

namespace vmsnap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using test::all_encodings;
using test::encoded;
using test::expect_same_machine;
using test::memory_of;
using test::open;
using test::with_foreign_chunk;

TEST(Copy, KeepsTheMachineFromEveryEncodingToEveryOther) {
  const TempDir dir;
  const test::SmallSnapshot source;
  for (const SnapshotWriteOptions& from : all_encodings()) {
    ASSERT_TRUE(write_snapshot(dir.file("from"), source.contents(), device_chunk_types(), from));
    for (const SnapshotWriteOptions& to : all_encodings()) {
      SnapshotReader original = open(dir.file("from"));
      const auto report = copy_snapshot(original, dir.file("to"), to);
      ASSERT_TRUE(report) << report.error().to_string();
      EXPECT_THAT(report->left_out, IsEmpty());
      SnapshotReader copy = open(dir.file("to"));
      expect_same_machine(original, copy);
      for (std::uint32_t id = 0; id < source.segments().size(); ++id) {
        EXPECT_EQ(memory_of(copy, id), source.segments()[id]);
        EXPECT_EQ(copy.segment_chunks(id).front()->header.type,
                  to.encoding == RamEncoding::kFlat ? kChunkFlatRam : kChunkExtentRam);
      }
    }
  }
}

TEST(Copy, KeepsRandomMemory) {
  const TempDir dir;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    const test::RandomMemory memory(seed);
    const SnapshotWriteOptions& from = all_encodings()[seed % 3];
    const SnapshotWriteOptions& to = all_encodings()[(seed + 1) % 3];
    ASSERT_TRUE(write_snapshot(dir.file("from"), memory.contents(), {}, from));
    const SnapshotReader original = open(dir.file("from"));
    const auto report = copy_snapshot(original, dir.file("to"), to);
    ASSERT_TRUE(report) << report.error().to_string();
    const SnapshotReader copy = open(dir.file("to"));
    for (std::uint32_t id = 0; id < memory.segments().size(); ++id) {
      EXPECT_EQ(memory_of(copy, id), memory.segments()[id]);
    }
  }
}

TEST(Copy, SaysTheSameOfMemoryAsASnapshotWrittenThatWay) {
  const TempDir dir;
  const test::SmallSnapshot source;
  for (const SnapshotWriteOptions& encoding : all_encodings()) {
    ASSERT_TRUE(write_snapshot(dir.file("direct"), source.contents(), device_chunk_types(), encoding));
    const SnapshotReader original = open(source.bytes());
    const auto report = copy_snapshot(original, dir.file("copy"), encoding);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(std::filesystem::file_size(dir.file("direct")), std::filesystem::file_size(dir.file("copy")));
    EXPECT_EQ(open(dir.file("direct")).header().features, open(dir.file("copy")).header().features);
    EXPECT_EQ(open(dir.file("direct")).header().body_align_shift,
              open(dir.file("copy")).header().body_align_shift);
  }
}

TEST(Copy, AlignsFlatMemoryAsItIsTold) {
  const TempDir dir;
  const test::SmallSnapshot source;
  SnapshotWriteOptions options;
  for (const std::uint8_t shift : {std::uint8_t{12}, std::uint8_t{16}}) {
    options.body_align_shift = shift;
    const auto report = copy_snapshot(open(source.bytes()), dir.file("copy"), options);
    ASSERT_TRUE(report) << report.error().to_string();
    const SnapshotReader copy = open(dir.file("copy"));
    EXPECT_EQ(copy.header().body_align_shift, shift);
    EXPECT_EQ(copy.segment_chunks(0).front()->body_offset() % (std::uint64_t{1} << shift), 0u);
  }
  options.body_align_shift = 11;
  const auto refused = copy_snapshot(open(source.bytes()), dir.file("copy"), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
}

TEST(Copy, HasModeOwnerOnlyAndMayReplaceWhatItReads) {
  const TempDir dir;
  const test::SmallSnapshot source;
  test::write_whole(dir.file("a"), source.bytes());
  SnapshotReader original = open(dir.file("a"));
  ASSERT_TRUE(copy_snapshot(original, dir.file("a"), encoded(RamEncoding::kExtents, Codec::kLz4)));
  SnapshotReader copy = open(dir.file("a"));
  expect_same_machine(original, copy);
  struct stat status {};
  ASSERT_EQ(::stat(dir.file("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(Copy, RefusesADamagedExtentAndLeavesNothingBehind) {
  const TempDir dir;
  ByteVector bytes = test::SmallSnapshot().bytes();
  const std::uint64_t place = open(bytes).segment_chunks(0).front()->body_offset() + 100;
  bytes[place] ^= std::byte{1};
  const auto original = SnapshotReader::open(test::memory_file(bytes), {ReadLevel::kMeta, true, {}, true});
  ASSERT_TRUE(original);
  for (const SnapshotWriteOptions& encoding : all_encodings()) {
    const auto report = copy_snapshot(*original, dir.file("to"), encoding);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind(), ErrorKind::kCorrupt);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  }
}

TEST(Copy, LeavesNothingBehindWhenItIsCancelled) {
  const TempDir dir;
  const SnapshotReader original = open(test::SmallSnapshot().bytes());
  const std::atomic<bool> cancelled = true;
  for (SnapshotWriteOptions encoding : all_encodings()) {
    encoding.pass.cancelled = &cancelled;
    const auto report = copy_snapshot(original, dir.file("to"), encoding);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind(), ErrorKind::kInvalidState);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  }
}

TEST(Copy, KeepsAForeignChunkThatMayBeCopiedWithItsBody) {
  const TempDir dir;
  for (const std::uint32_t flags : {0u, std::uint32_t{kChunkCritical}, std::uint32_t{kChunkLeaves}}) {
    const SnapshotReader original = open(with_foreign_chunk(flags | kChunkSafeToCopy, 3u << 20));
    const auto report = copy_snapshot(original, dir.file("to"), encoded(RamEncoding::kExtents));
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->left_out, IsEmpty());
    const SnapshotReader copy = open(dir.file("to"));
    ASSERT_EQ(copy.unknown_chunks().size(), 1u);
    const ChunkRecord& chunk = *copy.unknown_chunks().front();
    EXPECT_EQ(chunk.header.flags, flags | kChunkSafeToCopy);
    EXPECT_EQ(chunk.header.instance, 7u);
    EXPECT_EQ(chunk.header.body_hash, original.unknown_chunks().front()->header.body_hash);
    EXPECT_EQ(copy.schema_of(chunk)->name, "foreign");
    ByteVector body(chunk.header.body_size);
    ASSERT_TRUE(copy.container().file().read_at(chunk.body_offset(), body));
    EXPECT_EQ(body, ByteVector(3u << 20, std::byte{0x5A}));
  }
}

TEST(Copy, LeavesOutAnOptionalForeignChunkAndItsSchemaAndSaysSo) {
  const TempDir dir;
  const SnapshotReader original = open(with_foreign_chunk(0));
  const auto report = copy_snapshot(original, dir.file("to"), encoded(RamEncoding::kFlat));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->left_out, ElementsAre(HasSubstr("\"foreign\"")));
  const SnapshotReader copy = open(dir.file("to"));
  EXPECT_THAT(copy.unknown_chunks(), IsEmpty());
  for (const EmbeddedSchema& schema : copy.schemas()) EXPECT_NE(schema.name, "foreign");
}

TEST(Copy, RefusesACriticalForeignChunk) {
  const TempDir dir;
  const SnapshotReader original = open(with_foreign_chunk(kChunkCritical));
  const auto report = copy_snapshot(original, dir.file("to"), encoded(RamEncoding::kFlat));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(report.error().to_string(), HasSubstr("xFOO#"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Copy, LeavesOutACompatibleFeatureThatItDoesNotKnow) {
  const TempDir dir;
  test::RawSnapshot raw = test::RawSnapshot::parse(test::SmallSnapshot().bytes());
  raw.header.features = {{FeatureKind::kCompatible, 63, "golden-test"}};
  const SnapshotReader original = open(raw.bytes());
  const auto report = copy_snapshot(original, dir.file("to"), encoded(RamEncoding::kFlat));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->left_out, ElementsAre(HasSubstr("\"golden-test\"")));
  EXPECT_THAT(open(dir.file("to")).header().features, IsEmpty());
}

TEST(Copy, RefusesOptionsThatDoNotGoTogether) {
  const TempDir dir;
  const SnapshotReader original = open(test::SmallSnapshot().bytes());
  const auto report = copy_snapshot(original, dir.file("to"), encoded(RamEncoding::kFlat, Codec::kLz4));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace vmsnap
