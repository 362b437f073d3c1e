// SPDX-License-Identifier: BSD-2-Clause
// What goes in comes out; what does not fit together goes neither in nor out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "../base/temp_dir.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SnapshotReadOptions kFullLevel{ReadLevel::kFull, false};

TEST(Snapshot, ComesBackAsItWasWritten) {
  const TempDir dir;
  const test::SmallSnapshot small;
  const SnapshotContents contents = small.contents();
  const auto summary = write_snapshot(dir.file("s"), contents, device_chunk_types());
  ASSERT_TRUE(summary) << summary.error().to_string();

  auto reader = SnapshotReader::open(dir.file("s"), kFullLevel);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(reader->manifest(), contents.manifest);
  EXPECT_EQ(reader->memory_map(), contents.memory_map);
  EXPECT_EQ(reader->header().uuid, summary->uuid);
  EXPECT_EQ(reader->header().body_align_shift, 21);
  EXPECT_EQ(reader->root(), summary->root);
  EXPECT_EQ(reader->container().chunks().size(), summary->chunk_count);
  EXPECT_EQ(std::filesystem::file_size(dir.file("s")), summary->file_size);
  EXPECT_EQ(summary->ram_bytes, (64u << 10) + 4096 + (2u << 20) + (68u << 10));
  EXPECT_EQ(summary->ram_data_bytes, 15u * 4096 + 4096 + 3 * 4096);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto state = reader->device_state(i);
    ASSERT_TRUE(state);
    EXPECT_EQ(*state, contents.device_states[i]);
  }
  for (std::uint32_t id = 0; id < 3; ++id) {
    const auto segment = reader->segment(id);
    ASSERT_TRUE(segment) << segment.error().to_string();
    const auto mapping = segment->map();
    ASSERT_TRUE(mapping) << mapping.error().to_string();
    EXPECT_TRUE(std::ranges::equal(mapping->bytes(), small.segments()[id]));
    EXPECT_TRUE(verify_segment(*segment, mapping->bytes(), {2}));
    EXPECT_TRUE(verify_segment(*segment, {}));
  }
}

TEST(Snapshot, IsPublishedWithModeSixHundredAndNothingBesideIt) {
  const TempDir dir;
  ASSERT_TRUE(write_snapshot(dir.file("s"), test::SmallSnapshot().contents(), device_chunk_types()));
  struct stat status {};
  ASSERT_EQ(::stat(dir.file("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, ElementsAre("s"));
}

TEST(Snapshot, TheSameContentsAndUuidGiveTheSameBytes) {
  EXPECT_EQ(test::SmallSnapshot().bytes(), test::SmallSnapshot().bytes());
}

TEST(Snapshot, EachSaveHasItsOwnUuid) {
  const TempDir dir;
  const auto first = write_snapshot(dir.file("a"), test::SmallSnapshot().contents(), device_chunk_types());
  const auto second = write_snapshot(dir.file("b"), test::SmallSnapshot().contents(), device_chunk_types());
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->uuid, second->uuid);
  EXPECT_NE(first->root, second->root);
}

TEST(Snapshot, EmbedsTheSchemasInUseAndNoOthers) {
  auto reader = SnapshotReader::open(test::memory_file(test::SmallSnapshot().bytes()));
  ASSERT_TRUE(reader);
  std::vector<std::string> names;
  for (const EmbeddedSchema& schema : reader->schemas()) names.push_back(schema.name);
  EXPECT_THAT(names, ElementsAre("schema", "manifest", "memory_map", "flat_ram", "end", "index", "uart16550",
                                 "mc146818"));
  for (const ChunkRecord& chunk : reader->container().chunks()) {
    const EmbeddedSchema* schema = reader->schema_of(chunk);
    ASSERT_NE(schema, nullptr);
    EXPECT_EQ(schema->chunk_type, chunk.header.type);
  }
  for (const ChunkType& type : device_chunk_types()) {
    if (type.name != "uart16550") continue;
    const auto body = reader->schema_body(*reader->schema_of(reader->device_chunk(2)));
    ASSERT_TRUE(body);
    EXPECT_TRUE(std::ranges::equal(*body, type.schema));
  }
}

TEST(Snapshot, AMachineWithoutMemoryOrDevicesIsASnapshotToo) {
  SnapshotContents contents;
  contents.manifest.producer_name = "nobody";
  const File file = test::memory_file({});
  const auto summary = write_snapshot(file, contents, {});
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_TRUE(SnapshotReader::open(test::memory_file(test::read_whole(file)), kFullLevel));
}

TEST(Snapshot, KnowsWhichCriticalChunksNobodyTook) {
  auto reader = SnapshotReader::open(test::memory_file(test::SmallSnapshot().bytes()));
  ASSERT_TRUE(reader);
  const auto names = [&] {
    std::vector<std::string> result;
    for (const ChunkRecord* chunk : reader->unconsumed()) result.push_back(chunk->header.type.to_string());
    return result;
  };
  EXPECT_THAT(names(), ElementsAre("RAMF", "RAMF", "RAMF", "UART", "RTC ", "UART"));
  ASSERT_TRUE(reader->device_state(1));
  ASSERT_TRUE(reader->take_segment(0));
  ASSERT_TRUE(reader->take_segment(2));
  EXPECT_THAT(names(), ElementsAre("RAMF", "UART", "UART"));
  ASSERT_TRUE(reader->device_state(0));
  ASSERT_TRUE(reader->device_state(2));
  ASSERT_TRUE(reader->take_segment(1));
  EXPECT_THAT(names(), IsEmpty());
}

TEST(Snapshot, AsksForWhatIsNotThereAreRefused) {
  auto reader = SnapshotReader::open(test::memory_file(test::SmallSnapshot().bytes()));
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->device_state(3).error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(reader->segment(3).error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(reader->take_segment(3).error().kind(), ErrorKind::kUsage);
}

TEST(Snapshot, ReadsTheMetasOfMemoryOnceAtMost) {
  for (const RamEncoding encoding : {RamEncoding::kFlat, RamEncoding::kExtents}) {
    const File file = test::memory_file({});
    SnapshotWriteOptions options;
    options.encoding = encoding;
    ASSERT_TRUE(write_snapshot(file, test::SmallSnapshot().contents(), device_chunk_types(), options));
    const auto reopen = [&](ReadLevel level) {
      return SnapshotReader::open(File::adopt(UniqueFd(::dup(file.fd())), "s"), {level});
    };
    auto opened = reopen(ReadLevel::kMeta);
    auto at_header = reopen(ReadLevel::kHeader);
    ASSERT_TRUE(opened && at_header);
    const std::vector<std::uint64_t> leaves(opened->segment(0)->leaves().begin(),
                                            opened->segment(0)->leaves().end());
    const ChunkRecord& chunk = *opened->segment_chunks(0).front();
    ASSERT_TRUE(file.write_at(chunk.meta_offset(), ByteVector(chunk.header.meta_size)));
    const auto segment = opened->take_segment(0);
    ASSERT_TRUE(segment) << segment.error().to_string();
    EXPECT_TRUE(std::ranges::equal(segment->leaves(), leaves));
    EXPECT_EQ(at_header->segment(0).error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(Snapshot, WriterRefusesContentsThatDoNotFitTogether) {
  const test::SmallSnapshot small;
  const auto expect_refusal = [&](auto change, ErrorKind kind, const std::string& fragment) {
    SnapshotContents contents = small.contents();
    change(contents);
    const TempDir dir;
    const auto refused = write_snapshot(dir.file("s"), contents, device_chunk_types());
    ASSERT_FALSE(refused) << fragment;
    EXPECT_EQ(refused.error().kind(), kind) << refused.error().to_string();
    EXPECT_THAT(refused.error().to_string(), HasSubstr(fragment));
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  };
  expect_refusal([](SnapshotContents& c) { c.device_states.pop_back(); }, ErrorKind::kUsage,
                 "3 devices, but 2 states");
  expect_refusal([](SnapshotContents& c) { c.segments.pop_back(); }, ErrorKind::kUsage, "3 segments, but 2");
  expect_refusal([](SnapshotContents& c) { c.segments[1].bytes = c.segments[0].bytes; }, ErrorKind::kUsage,
                 "\"bootrom\" has 4096 bytes");
  expect_refusal([](SnapshotContents& c) { std::swap(c.device_states[0], c.device_states[1]); },
                 ErrorKind::kUsage, "device isa0/uart@3f8: the state given is not a UART FlatBuffer");
  expect_refusal([](SnapshotContents& c) { c.device_states[0].resize(7); }, ErrorKind::kUsage,
                 "not a UART FlatBuffer");
  expect_refusal([](SnapshotContents& c) { c.device_states[1].resize((16u << 20) + 1); },
                 ErrorKind::kLimitExceeded, "16 MiB");
  expect_refusal([](SnapshotContents& c) { c.manifest.devices[1].type = "flux_capacitor"; },
                 ErrorKind::kUsage, "does not write flux_capacitor");
  expect_refusal(
      [](SnapshotContents& c) {
        c.manifest.devices[1].version = {2, 9};
      },
      ErrorKind::kUsage, "version 2.9");
  expect_refusal([](SnapshotContents& c) { c.manifest.devices[1].instance = 7; }, ErrorKind::kCorrupt,
                 "instance 7");
  expect_refusal([](SnapshotContents& c) { c.memory_map.mappings[0].size += 4096; }, ErrorKind::kCorrupt,
                 "mapping 0");
}

TEST(Snapshot, WriterRefusesImpossibleAlignments) {
  SnapshotWriteOptions options;
  for (const int shift : {11, 31}) {
    options.body_align_shift = static_cast<std::uint8_t>(shift);
    const auto refused = write_snapshot(test::memory_file({}), test::SmallSnapshot().contents(),
                                        device_chunk_types(), options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  }
}

class FailingSave : public ::testing::Test {
 protected:
  void SetUp() override { test::write_whole(dir_.file("s"), old_); }

  void expect_old_file_untouched() {
    EXPECT_EQ(test::read_whole(dir_.file("s")), old_);
    EXPECT_EQ(dir_.file_count(), 1u);
  }

  TempDir dir_;
  const ByteVector old_ = test::SmallSnapshot({16u << 10, false}).bytes();
};

TEST_F(FailingSave, LeavesTheOldFileWhenAStateIsRefused) {
  SnapshotContents contents = test::SmallSnapshot().contents();
  contents.device_states[2].clear();
  EXPECT_FALSE(write_snapshot(dir_.file("s"), contents, device_chunk_types()));
  expect_old_file_untouched();
}

TEST_F(FailingSave, LeavesTheOldFileWhenTheDiskFillsUpAtAnyPoint) {
  // A limit on the size of files stands for a full disk: each write beyond it fails.
  const test::SmallSnapshot small;
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::vector<Result<SnapshotSummary>> results;
  for (const rlim_t limit : {0u, 100u, 5'000u, 30'000u, 100'000u, 3'000'000u, 6'000'000u}) {
    rlimit lower = old_limit;
    lower.rlim_cur = limit;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &lower), 0);
    results.push_back(write_snapshot(dir_.file("s"), small.contents(), device_chunk_types()));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    if (!results.back()) expect_old_file_untouched();
  }
  std::signal(SIGXFSZ, old_handler);
  std::size_t failed = 0;
  for (const auto& result : results) {
    if (result) continue;
    EXPECT_EQ(result.error().kind(), ErrorKind::kIo) << result.error().to_string();
    EXPECT_EQ(result.error().file(), dir_.file("s"));
    ++failed;
  }
  EXPECT_GE(failed, 5u);
}

TEST_F(FailingSave, IsReplacedWholeByASaveThatSucceeds) {
  const auto summary = write_snapshot(dir_.file("s"), test::SmallSnapshot().contents(), device_chunk_types());
  ASSERT_TRUE(summary);
  auto reader = SnapshotReader::open(dir_.file("s"), kFullLevel);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->root(), summary->root);
}

TEST(Snapshot, AMappedSegmentOutlivesTheReaderAndTheName) {
  const TempDir dir;
  const test::SmallSnapshot small;
  ASSERT_TRUE(write_snapshot(dir.file("s"), small.contents(), device_chunk_types()));
  Mapping mapping;
  {
    auto reader = SnapshotReader::open(dir.file("s"));
    ASSERT_TRUE(reader);
    const auto segment = reader->take_segment(2);
    ASSERT_TRUE(segment);
    auto mapped = segment->map();
    ASSERT_TRUE(mapped);
    mapping = std::move(*mapped);
  }
  std::filesystem::remove(dir.file("s"));
  EXPECT_TRUE(std::ranges::equal(mapping.bytes(), small.segments()[2]));
}

}  // namespace
}  // namespace vmsnap
