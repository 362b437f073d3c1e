// SPDX-License-Identifier: BSD-2-Clause
// A copy made from a pipe is the copy made from the file, and what is wrong in a file is refused in a pipe.
#include "snapshot/stream_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "../base/temp_dir.h"
#include "copies.h"
#include "format/digest.h"
#include "ram/extent_ram.h"
#include "random_memory.h"
#include "streamed.h"

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

bool is_flat(const SnapshotWriteOptions& options) {
  return options.encoding == RamEncoding::kFlat;
}

ByteVector write(const SnapshotContents& contents, SnapshotWriteOptions options) {
  const File file = test::memory_file({});
  options.uuid = test::test_uuid();
  const auto written = write_snapshot(file, contents, device_chunk_types(), options);
  EXPECT_TRUE(written) << written.error().to_string();
  return test::read_whole(file);
}

class StreamCopy : public ::testing::Test {
 protected:
  /// Copies through a pipe, into a file when the encoding needs one, else into another pipe.
  ByteVector copied(ByteView bytes, const SnapshotWriteOptions& to) {
    ByteVector copy;
    const auto report =
        is_flat(to) ? test::copy_through_pipe(bytes, path_, to) : test::copy_through_pipes(bytes, copy, to);
    EXPECT_TRUE(report) << report.error().to_string();
    if (!report) return copy;
    EXPECT_THAT(report->left_out, IsEmpty());
    return is_flat(to) ? test::read_whole(path_) : copy;
  }

  /// Expects that `bytes` are refused, in the same way whatever comes out, and that nothing stays behind.
  Error refused(ByteView bytes) {
    std::optional<Error> error;
    for (const SnapshotWriteOptions& to : all_encodings()) {
      const auto to_file = test::copy_through_pipe(bytes, path_, to);
      EXPECT_FALSE(to_file);
      EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
      if (to_file) return Error(ErrorKind::kInternal, "not refused");
      if (!error) error = to_file.error();
      EXPECT_EQ(to_file.error().to_string(), error->to_string());
      if (is_flat(to)) continue;
      ByteVector piped;
      const auto to_pipe = test::copy_through_pipes(bytes, piped, to);
      EXPECT_EQ(to_pipe ? "" : to_pipe.error().to_string(), error->to_string());
      EXPECT_FALSE(test::read_through_pipe(piped));
    }
    return *error;
  }

  TempDir dir_;
  std::string path_ = dir_.file("to");
};

TEST_F(StreamCopy, KeepsTheMachineFromEveryEncodingToEveryOther) {
  const test::SmallSnapshot source;
  for (const SnapshotWriteOptions& from : all_encodings()) {
    const ByteVector bytes = write(source.contents(), from);
    for (const SnapshotWriteOptions& to : all_encodings()) {
      SnapshotReader original = open(bytes);
      SnapshotReader copy = open(copied(bytes, to));
      expect_same_machine(original, copy);
      for (std::uint32_t id = 0; id < source.segments().size(); ++id) {
        EXPECT_EQ(memory_of(copy, id), source.segments()[id]);
        EXPECT_EQ(copy.segment_chunks(id).front()->header.type,
                  is_flat(to) ? kChunkFlatRam : kChunkExtentRam);
      }
    }
  }
}

TEST_F(StreamCopy, KeepsRandomMemoryAsACopyOfTheFileDoes) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const test::RandomMemory memory(seed);
    for (const SnapshotWriteOptions& from : all_encodings()) {
      const ByteVector bytes = write(memory.contents(), from);
      for (SnapshotWriteOptions to : all_encodings()) {
        SCOPED_TRACE(::testing::Message() << "seed " << seed << ", flat " << is_flat(from) << is_flat(to)
                                          << ", threads " << 1 + seed % 3);
        to.pass.threads = 1 + static_cast<unsigned>(seed % 3);
        std::atomic<std::uint64_t> done{0};
        to.pass.progress = [&done](std::uint64_t count) { done += count; };
        const SnapshotReader copy = open(copied(bytes, to));
        std::uint64_t total = 0;
        for (std::uint32_t id = 0; id < memory.segments().size(); ++id) {
          EXPECT_EQ(memory_of(copy, id), memory.segments()[id]);
          total += memory.segments()[id].size();
        }
        EXPECT_EQ(done, total);
        const SnapshotReader original = open(bytes);
        ASSERT_TRUE(copy_snapshot(original, path_, to));
        EXPECT_EQ(*open(path_).memory_digest(), *copy.memory_digest());
        // What repeats earlier memory is known where the stream says it, so nothing is lost.
        if (is_flat(from) && !is_flat(to)) continue;
        EXPECT_EQ(copy.container().file_size(), std::filesystem::file_size(path_));
      }
    }
  }
}

TEST_F(StreamCopy, ReportsWhatItWroteAndPublishesAPrivateFile) {
  const test::SmallSnapshot source;
  const ByteVector bytes = write(source.contents(), encoded(RamEncoding::kExtents, Codec::kLz4));
  const auto report = test::copy_through_pipe(bytes, path_, encoded(RamEncoding::kFlat));
  ASSERT_TRUE(report) << report.error().to_string();
  const SnapshotReader copy = open(path_);
  EXPECT_EQ(report->written.uuid, copy.header().uuid);
  EXPECT_EQ(report->written.root, copy.root());
  EXPECT_EQ(report->written.file_size, std::filesystem::file_size(path_));
  EXPECT_EQ(report->written.chunk_count, copy.container().chunks().size());
  std::uint64_t memory = 0;
  for (const ByteVector& segment : source.segments()) memory += segment.size();
  EXPECT_EQ(report->written.ram_bytes, memory);
  EXPECT_EQ(report->written.ram_data_bytes, 19u * 4096);
  EXPECT_EQ(report->written.ram_stored_bytes, 19u * 4096);
  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(StreamCopy, CutAtEvery64BytesIsTruncatedAndLeavesNothingBehind) {
  for (const SnapshotWriteOptions& from : all_encodings()) {
    const ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), from);
    for (std::size_t size = 0; size < bytes.size(); size += 64) {
      const auto to = all_encodings()[size / 64 % 3];
      const auto cut = test::copy_through_pipe(ByteView(bytes).first(size), path_, to);
      ASSERT_FALSE(cut) << "cut to " << size;
      ASSERT_EQ(cut.error().kind(), ErrorKind::kTruncated) << cut.error().to_string();
      ASSERT_EQ(cut.error().offset(), size);
      ASSERT_EQ(cut.error().file(), "pipe");
      ASSERT_TRUE(std::filesystem::is_empty(dir_.path()));
      if (size % (64 * 16) != 0) continue;
      ByteVector piped;
      ASSERT_FALSE(
          test::copy_through_pipes(ByteView(bytes).first(size), piped, encoded(RamEncoding::kExtents)));
      const auto reread = test::read_through_pipe(piped);
      ASSERT_FALSE(reread);
      ASSERT_EQ(reread.error().kind(), ErrorKind::kTruncated);
    }
  }
}

TEST_F(StreamCopy, EveryFlippedByteIsCorruptAndLeavesNothingBehind) {
  for (const SnapshotWriteOptions& from : all_encodings()) {
    ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), from);
    for (std::size_t at = 0; at < bytes.size(); at += 37) {
      bytes[at] ^= std::byte(1u << (at % 8));
      const auto bad = test::copy_through_pipe(bytes, path_, all_encodings()[at % 3]);
      ASSERT_FALSE(bad) << "byte " << at;
      ASSERT_EQ(bad.error().kind(), ErrorKind::kCorrupt) << "byte " << at << ": " << bad.error().to_string();
      ASSERT_EQ(bad.error().file(), "pipe");
      ASSERT_TRUE(bad.error().offset());
      ASSERT_TRUE(std::filesystem::is_empty(dir_.path()));
      bytes[at] ^= std::byte(1u << (at % 8));
    }
  }
}

TEST_F(StreamCopy, NamesTheMemoryThatIsDamaged) {
  for (const SnapshotWriteOptions& from : all_encodings()) {
    ByteVector bytes = write(test::SmallSnapshot().contents(), from);
    const ChunkRecord chunk = *open(bytes).segment_chunks(0).front();
    bytes[chunk.body_offset() + 100] ^= std::byte{1};
    const Error error = refused(bytes);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(error.chunk(), chunk.name());
  }
}

TEST_F(StreamCopy, RefusesWhatFollowsTheEnd) {
  ByteVector bytes = test::SmallSnapshot().bytes();
  bytes.push_back(std::byte{0});
  EXPECT_THAT(refused(bytes).to_string(), HasSubstr("bytes follow the end"));
}

TEST_F(StreamCopy, KeepsAForeignChunkThatMayBeCopiedWithItsBody) {
  for (const std::uint32_t flags : {0u, std::uint32_t{kChunkCritical}, std::uint32_t{kChunkLeaves}}) {
    const ByteVector bytes = with_foreign_chunk(flags | kChunkSafeToCopy, 3u << 20);
    const SnapshotReader copy = open(copied(bytes, encoded(RamEncoding::kExtents)));
    ASSERT_EQ(copy.unknown_chunks().size(), 1u);
    const ChunkRecord& chunk = *copy.unknown_chunks().front();
    EXPECT_EQ(chunk.header.flags, flags | kChunkSafeToCopy);
    EXPECT_EQ(chunk.header.instance, 7u);
    EXPECT_EQ(copy.schema_of(chunk)->name, "foreign");
    ByteVector body(chunk.header.body_size);
    ASSERT_TRUE(copy.container().file().read_at(chunk.body_offset(), body));
    EXPECT_EQ(body, ByteVector(3u << 20, std::byte{0x5A}));
  }
}

TEST_F(StreamCopy, LeavesOutAnOptionalForeignChunkAndItsSchemaAndSaysSo) {
  for (const std::size_t body_size : {std::size_t{0}, std::size_t{100'000}}) {
    const auto report =
        test::copy_through_pipe(with_foreign_chunk(0, body_size), path_, encoded(RamEncoding::kFlat));
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_THAT(report->left_out, ElementsAre(HasSubstr("\"foreign\"")));
    const SnapshotReader copy = open(path_);
    EXPECT_THAT(copy.unknown_chunks(), IsEmpty());
    for (const EmbeddedSchema& schema : copy.schemas()) EXPECT_NE(schema.name, "foreign");
  }
}

TEST_F(StreamCopy, RefusesACriticalForeignChunk) {
  const Error error = refused(with_foreign_chunk(kChunkCritical));
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error.file(), "pipe");
  EXPECT_THAT(error.chunk(), HasSubstr("xFOO#"));
}

TEST_F(StreamCopy, LeavesOutACompatibleFeatureThatItDoesNotKnow) {
  test::RawSnapshot raw = test::RawSnapshot::parse(test::SmallSnapshot().bytes());
  raw.header.features = {{FeatureKind::kCompatible, 63, "golden-test"}};
  const auto report = test::copy_through_pipe(raw.bytes(), path_, encoded(RamEncoding::kFlat));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(report->left_out, ElementsAre(HasSubstr("\"golden-test\"")));
  EXPECT_THAT(open(path_).header().features, IsEmpty());
}

/// The schemas that a snapshot has, by name, in order.
std::vector<std::string> schema_names(const SnapshotReader& reader) {
  std::vector<std::string> names;
  for (const EmbeddedSchema& schema : reader.schemas()) names.push_back(schema.name);
  return names;
}

TEST_F(StreamCopy, PutsSchemasFirstAndTakesNoneThatNothingNeeds) {
  test::RawSnapshot raw =
      test::RawSnapshot::parse(write(test::SmallSnapshot().contents(), encoded(RamEncoding::kExtents)));
  raw.add_schema(FourCc("xBAR"), "idle");
  const SnapshotReader copy = open(copied(raw.bytes(), encoded(RamEncoding::kFlat)));
  EXPECT_THAT(schema_names(copy),
              ElementsAre("schema", "manifest", "memory_map", "uart16550", "mc146818", "flat_ram", "end", "index"));
  for (std::size_t i = 0; i < copy.schemas().size(); ++i) EXPECT_EQ(copy.schemas()[i].chunk, i);
}

TEST_F(StreamCopy, TakesSchemasThatComeJustBeforeTheirFirstUse) {
  const ByteVector bytes = with_foreign_chunk(kChunkSafeToCopy, 1000);
  test::RawSnapshot raw = test::RawSnapshot::parse(bytes);
  std::vector<test::RawChunk> schemas;
  std::vector<test::RawChunk> others;
  for (test::RawChunk& chunk : raw.chunks)
    (chunk.spec.type == kChunkSchema ? schemas : others).push_back(chunk);
  raw.chunks.clear();
  const auto put_schema = [&](std::uint32_t id) {
    for (test::RawChunk& schema : schemas) {
      if (schema.spec.instance != id || schema.meta.empty()) continue;
      raw.chunks.push_back(std::move(schema));
      schema.meta.clear();
    }
  };
  for (test::RawChunk& chunk : others) {
    put_schema(chunk.spec.schema_id);
    raw.chunks.push_back(chunk);
  }
  for (const test::RawChunk& schema : schemas) put_schema(schema.spec.instance);
  ASSERT_NE(raw.chunks.front().meta, ByteVector());
  const ByteVector late = raw.bytes();
  for (const SnapshotWriteOptions& to : all_encodings()) {
    SnapshotReader original = open(late);
    SnapshotReader copy = open(copied(late, to));
    expect_same_machine(original, copy);
    EXPECT_EQ(copy.unknown_chunks().size(), 1u);
  }
}

TEST_F(StreamCopy, RefusesToHoldMoreSchemasThanItNeeds) {
  test::RawSnapshot raw = test::RawSnapshot::parse(test::SmallSnapshot({16u << 10, false}).bytes());
  for (int i = 0; i < 5; ++i) {
    const std::uint32_t id = raw.add_schema(FourCc("xBAR"), "idle");
    for (test::RawChunk& chunk : raw.chunks) {
      if (chunk.spec.type != kChunkSchema || chunk.spec.instance != id) continue;
      chunk.meta.resize(15u << 20);
    }
  }
  const Error error = refused(raw.bytes());
  EXPECT_EQ(error.kind(), ErrorKind::kLimitExceeded) << error.to_string();
}

/// RAM chunks of `raw`, moved behind its other chunks, in an order that changes from segment to segment and
/// with states of devices in between.
void shuffle_memory(test::RawSnapshot& raw) {
  std::map<std::uint32_t, std::deque<test::RawChunk>> memory;
  std::deque<test::RawChunk> states;
  std::vector<test::RawChunk> first;
  for (test::RawChunk& chunk : raw.chunks) {
    if (is_ram_chunk(chunk.spec.type)) {
      memory[chunk.spec.instance].push_back(std::move(chunk));
    } else if (is_container_chunk(chunk.spec.type)) {
      first.push_back(std::move(chunk));
    } else {
      states.push_back(std::move(chunk));
    }
  }
  raw.chunks = std::move(first);
  for (bool more = true; more;) {
    more = false;
    for (auto& [id, chunks] : memory) {
      if (chunks.empty()) continue;
      raw.chunks.push_back(std::move(chunks.front()));
      chunks.pop_front();
      more = true;
    }
    if (states.empty()) continue;
    raw.chunks.push_back(std::move(states.front()));
    states.pop_front();
    more = true;
  }
}

TEST_F(StreamCopy, TakesSegmentsAndStatesInAnyOrder) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const test::RandomMemory memory(seed);
    SnapshotContents contents = memory.contents();
    const SnapshotContents small = test::SmallSnapshot({16u << 10, false}).contents();
    contents.manifest = small.manifest;
    contents.device_states = small.device_states;
    for (const SnapshotWriteOptions& from : all_encodings()) {
      test::RawSnapshot raw = test::RawSnapshot::parse(write(contents, from));
      shuffle_memory(raw);
      const ByteVector shuffled = raw.bytes();
      for (const SnapshotWriteOptions& to : all_encodings()) {
        SnapshotReader original = open(shuffled);
        SnapshotReader copy = open(copied(shuffled, to));
        expect_same_machine(original, copy);
        for (std::uint32_t id = 0; id < memory.segments().size(); ++id) {
          EXPECT_EQ(memory_of(copy, id), memory.segments()[id]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap
