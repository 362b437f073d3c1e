// SPDX-License-Identifier: BSD-2-Clause
// A copy made from a pipe is the copy made from the file, and what is wrong in a file is refused in a pipe.
#include "snapshot/stream_copy.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

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
  EXPECT_THAT(schema_names(copy), ElementsAre("schema", "manifest", "memory_map", "uart16550", "mc146818",
                                              "flat_ram", "end", "index"));
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

constexpr std::uint32_t kExtentPages = 64;

ByteVector noise(std::size_t size) {
  ByteVector bytes(size);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < size; i += 8) store_le<std::uint64_t>(bytes, i, random() | 1);
  return bytes;
}

SnapshotContents one_segment(ByteView memory) {
  SnapshotContents contents;
  contents.manifest.producer_name = "test";
  contents.memory_map.segments.push_back({0, "ram", SegmentKind::kSystemMemory, memory.size()});
  contents.memory_map.mappings.push_back({0, 0, Gpa(0), memory.size(), false});
  contents.segments.push_back({memory, false});
  return contents;
}

/// A snapshot of two extents: one of data, and one of `second`, whose data are the pages of `memory` there.
ByteVector two_extents(ByteView memory, std::vector<PageRun> second, std::uint64_t wrong_leaf = 0) {
  test::RawSnapshot raw =
      test::RawSnapshot::parse(write(one_segment(memory), encoded(RamEncoding::kExtents)));
  test::RawChunk& chunk = raw.find(kChunkExtentRam);
  ExtentRamMeta meta;
  meta.extent_shift = 18;
  meta.leaves = {xxh3_64(memory.first(kExtentPages * kPageSize)),
                 xxh3_64(memory.subspan(kExtentPages * kPageSize)) ^ wrong_leaf};
  meta.runs = {{PageRunKind::kData, kExtentPages, 0}};
  chunk.body.assign(memory.begin(), memory.begin() + kExtentPages * kPageSize);
  std::uint64_t at = kExtentPages * kPageSize;
  for (const PageRun& run : second) {
    const ByteView pages = memory.subspan(at, run.pages * kPageSize);
    if (run.kind == PageRunKind::kData) chunk.body.insert(chunk.body.end(), pages.begin(), pages.end());
    meta.runs.push_back(run);
    at += pages.size();
  }
  chunk.meta = encode(meta);
  chunk.body_hash = leaves_hash(meta.leaves);
  return raw.bytes();
}

/// Two extents, of which the second has a page of its own, others from the first, its own again, and zeros.
const std::vector<PageRun> kSinglePages = {{PageRunKind::kData, 1, 0},
                                           {PageRunKind::kDuplicate, 1, 9 * kPageSize},
                                           {PageRunKind::kDuplicate, 2, 3 * kPageSize},
                                           {PageRunKind::kDuplicate, 1, kExtentPages* kPageSize},
                                           {PageRunKind::kZero, kExtentPages - 5, 0}};

ByteVector memory_of_single_pages() {
  ByteVector memory = noise((kExtentPages + 1) * kPageSize);
  memory.resize(2 * kExtentPages * kPageSize);
  const auto copy = [&](std::uint32_t from, std::uint32_t to, std::uint32_t pages) {
    std::copy_n(memory.begin() + from * kPageSize, pages * kPageSize, memory.begin() + to * kPageSize);
  };
  copy(9, kExtentPages + 1, 1);
  copy(3, kExtentPages + 2, 2);
  copy(kExtentPages, kExtentPages + 4, 1);
  return memory;
}

TEST_F(StreamCopy, KeepsRepetitionsOfSinglePagesWhereItCanVerifyThem) {
  const ByteVector memory = memory_of_single_pages();
  const ByteVector bytes = two_extents(memory, kSinglePages);
  for (const SnapshotWriteOptions& to : all_encodings()) {
    const auto report = test::copy_through_pipe(bytes, path_, to);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->written.ram_data_bytes, (kExtentPages + 5) * kPageSize);
    EXPECT_EQ(memory_of(open(path_), 0), memory);
    if (is_flat(to)) continue;
    EXPECT_LE(report->written.ram_stored_bytes, (kExtentPages + 1) * kPageSize);
    ByteVector piped;
    const auto refused = test::copy_through_pipes(bytes, piped, to);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
    EXPECT_THAT(refused.error().message(), HasSubstr("from 0x40000 of segment 0 repeat single pages"));
  }
}

TEST_F(StreamCopy, RefusesRepetitionsOfSinglePagesThatAreNotWhatWasSaved) {
  const ByteVector bytes = two_extents(memory_of_single_pages(), kSinglePages, 1);
  for (const SnapshotWriteOptions& to : all_encodings()) {
    const auto refused = test::copy_through_pipe(bytes, path_, to);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(refused.error().file(), "pipe");
    EXPECT_THAT(refused.error().message(), HasSubstr("from 0x40000 of segment 0"));
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  }
}

TEST_F(StreamCopy, TakesARepeatedExtentForProvenOnlyIfItRepeatsAllOfIt) {
  const ByteVector extent = noise(kExtentPages * kPageSize);
  ByteVector memory = extent;
  memory.insert(memory.end(), extent.begin(), extent.end());
  ByteVector piped;
  const auto whole = two_extents(memory, {{PageRunKind::kDuplicate, 10, 0},
                                          {PageRunKind::kDuplicate, kExtentPages - 10, 10 * kPageSize}});
  ASSERT_TRUE(test::copy_through_pipes(whole, piped, encoded(RamEncoding::kExtents)));
  EXPECT_EQ(memory_of(open(piped), 0), memory);
  // These claim the leaf of the first extent as well.
  for (const std::vector<PageRun>& runs :
       {std::vector<PageRun>{{PageRunKind::kDuplicate, 10, 0}, {PageRunKind::kZero, kExtentPages - 10, 0}},
        {{PageRunKind::kZero, 1, 0}, {PageRunKind::kDuplicate, kExtentPages - 1, kPageSize}},
        {{PageRunKind::kDuplicate, 1, kPageSize}, {PageRunKind::kDuplicate, kExtentPages - 1, kPageSize}}}) {
    const ByteVector bytes = two_extents(memory, runs);
    for (const SnapshotWriteOptions& to : all_encodings()) {
      const auto refused = test::copy_through_pipe(bytes, path_, to);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << refused.error().to_string();
    }
    const auto refused = test::copy_through_pipes(bytes, piped, encoded(RamEncoding::kExtents));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
  }
  const auto wrong_leaf = two_extents(memory, {{PageRunKind::kDuplicate, kExtentPages, 0}}, 1);
  const auto refused = test::copy_through_pipe(wrong_leaf, path_, encoded(RamEncoding::kFlat));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
}

TEST_F(StreamCopy, LeavesNothingBehindWhenItIsCancelled) {
  const ByteVector bytes = test::SmallSnapshot().bytes();
  const std::atomic<bool> cancelled = true;
  for (SnapshotWriteOptions to : all_encodings()) {
    to.pass.cancelled = &cancelled;
    const auto report = test::copy_through_pipe(bytes, path_, to);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind(), ErrorKind::kInvalidState);
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  }
}

TEST_F(StreamCopy, RefusesOptionsThatDoNotGoTogether) {
  const ByteVector bytes = test::SmallSnapshot().bytes();
  ByteVector piped;
  const auto flat = test::copy_through_pipes(bytes, piped, encoded(RamEncoding::kFlat));
  ASSERT_FALSE(flat);
  EXPECT_EQ(flat.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(piped, IsEmpty());
  const auto lz4 = test::copy_through_pipe(bytes, path_, encoded(RamEncoding::kFlat, Codec::kLz4));
  ASSERT_FALSE(lz4);
  EXPECT_EQ(lz4.error().kind(), ErrorKind::kUsage);
}

/// Largest size of this process in memory (VmHWM) since forget_peak(), in bytes.
std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::uint64_t kib = 0;
  while (status >> word) {
    if (word == "VmHWM:" && status >> kib) return kib << 10;
  }
  ADD_FAILURE() << "/proc/self/status has no VmHWM";
  return 0;
}

void forget_peak() {
  std::ofstream refs("/proc/self/clear_refs");
  ASSERT_TRUE(refs << 5 << std::flush);
}

/// A process of its own that makes a large snapshot and sends it, so that its memory is not ours.
UniqueFd send_large_snapshot(std::size_t size, bool sparse, const SnapshotWriteOptions& encoding,
                             pid_t& sender) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  UniqueFd out(fds[0]);
  UniqueFd in(fds[1]);
  sender = ::fork();
  if (sender != 0) return out;
  out.reset();
  ByteVector memory = sparse ? ByteVector(size) : noise(size);
  if (sparse) {
    // All kinds of neighbours: nothing, a page, a repetition of that.
    for (std::size_t at = 0; at < size; at += 3 * kExtentPages * kPageSize)
      memory[at] = std::byte(1 + at % 5);
  }
  const File file = test::memory_file({});
  const auto written = write_snapshot(file, one_segment(memory), {}, encoding);
  StreamSink sink(std::move(in), "pipe");
  ByteVector piece(1u << 20);
  bool sent = written.has_value();
  for (std::uint64_t at = 0; sent && at < written->file_size; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(piece.size(), written->file_size - at));
    sent = file.read_at(at, piece) && sink.write(piece);
  }
  ::_exit(sent ? 0 : 1);
}

TEST_F(StreamCopy, NeedsLittleMemoryHoweverMuchComes) {
  for (const bool sparse : {false, true}) {
    const std::size_t size = sparse ? 256u << 20 : 64u << 20;
    for (const SnapshotWriteOptions& from : all_encodings()) {
      for (SnapshotWriteOptions to : all_encodings()) {
        to.pass.threads = 2;
        pid_t sender = 0;
        StreamSource source(send_large_snapshot(size, sparse, from, sender), "pipe");
        StreamSink sink(UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)), "/dev/null");
        forget_peak();
        const std::uint64_t before = peak_memory();
        const auto report = is_flat(to) ? copy_stream(source, path_, to) : copy_stream(source, sink, to);
        ASSERT_TRUE(report) << report.error().to_string();
        EXPECT_EQ(report->written.ram_bytes, size);
        EXPECT_LT(peak_memory() - before, 20u << 20);
        int status = -1;
        ASSERT_EQ(::waitpid(sender, &status, 0), sender);
        EXPECT_EQ(status, 0);
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap
