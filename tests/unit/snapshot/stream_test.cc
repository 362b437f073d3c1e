// SPDX-License-Identifier: BSD-2-Clause
// A snapshot that comes through a pipe is what was saved, or is refused as the same file would be.
#include "streamed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "format/digest.h"
#include "ram/extent_ram.h"
#include "random_memory.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

struct Layout {
  const char* name;
  RamEncoding encoding;
  Codec codec;
};

void PrintTo(const Layout& layout, std::ostream* out) {
  *out << layout.name;
}

ByteVector write(const SnapshotContents& contents, const Layout& layout) {
  const File file = test::memory_file({});
  const std::vector<ChunkType> types = device_chunk_types();
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  options.encoding = layout.encoding;
  options.codec = layout.codec;
  const auto written = write_snapshot(file, contents, types, options);
  EXPECT_TRUE(written) << written.error().to_string();
  return test::read_whole(file);
}

/// A machine of one segment and no devices.
SnapshotContents one_segment(ByteView memory, bool private_anonymous) {
  SnapshotContents contents;
  contents.manifest.producer_name = "test";
  contents.manifest.producer_version = "1";
  contents.manifest.vcpu_count = 1;
  contents.memory_map.segments.push_back({0, "ram", SegmentKind::kSystemMemory, memory.size()});
  contents.memory_map.mappings.push_back({0, 0, Gpa(0), memory.size(), false});
  RamSource source;
  source.bytes = memory;
  source.private_anonymous = private_anonymous;
  contents.segments.push_back(source);
  return contents;
}

std::string verdict(const Result<StreamedSnapshot>& result) {
  return result ? "ok" : std::string(to_string(result.error().kind()));
}

class Stream : public ::testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Encodings, Stream,
                         ::testing::Values(Layout{"flat", RamEncoding::kFlat, Codec::kNone},
                                           Layout{"extents", RamEncoding::kExtents, Codec::kNone},
                                           Layout{"lz4", RamEncoding::kExtents, Codec::kLz4}));

TEST_P(Stream, BringsEverythingThatAFileHolds) {
  const test::SmallSnapshot source;
  const ByteVector bytes = write(source.contents(), GetParam());
  auto file = SnapshotReader::open(test::memory_file(bytes));
  ASSERT_TRUE(file) << file.error().to_string();
  const auto stream = test::read_through_pipe(bytes);
  ASSERT_TRUE(stream) << stream.error().to_string();
  EXPECT_EQ(stream->header, file->header());
  EXPECT_EQ(stream->root, file->root());
  EXPECT_EQ(stream->manifest, file->manifest());
  EXPECT_EQ(stream->memory_map, file->memory_map());
  EXPECT_EQ(stream->size, bytes.size());
  ASSERT_EQ(stream->device_states.size(), file->manifest().devices.size());
  for (std::uint32_t i = 0; i < stream->device_states.size(); ++i) {
    const auto state = file->device_state(i);
    ASSERT_TRUE(state);
    EXPECT_EQ(stream->device_states[i], *state);
  }
  ASSERT_EQ(stream->segments.size(), source.segments().size());
  for (std::size_t i = 0; i < stream->segments.size(); ++i) {
    const auto memory = stream->segments[i].bytes();
    EXPECT_TRUE(
        std::equal(memory.begin(), memory.end(), source.segments()[i].begin(), source.segments()[i].end()))
        << "segment " << i;
  }
}

TEST_P(Stream, BringsMemoryOfEveryKindWithAnyNumberOfThreads) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const test::RandomMemory memory(seed);
    const ByteVector bytes = write(memory.contents(), GetParam());
    for (const unsigned threads : {1u, 2u, 3u}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << ", threads " << threads);
      std::atomic<std::uint64_t> done{0};
      PassOptions pass;
      pass.threads = threads;
      pass.progress = [&done](std::uint64_t count) { done += count; };
      const auto stream = test::read_through_pipe(bytes, pass);
      ASSERT_TRUE(stream) << stream.error().to_string();
      std::uint64_t total = 0;
      ASSERT_EQ(stream->segments.size(), memory.segments().size());
      for (std::size_t i = 0; i < stream->segments.size(); ++i) {
        const auto got = stream->segments[i].bytes();
        const ByteVector& wanted = memory.segments()[i];
        ASSERT_TRUE(std::equal(got.begin(), got.end(), wanted.begin(), wanted.end())) << "segment " << i;
        total += wanted.size();
      }
      EXPECT_EQ(done, total);
    }
  }
}

TEST_P(Stream, CutAtEvery64BytesOrOneOffIsTruncated) {
  const ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), GetParam());
  ASSERT_TRUE(test::read_through_pipe(bytes));
  std::size_t cuts = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::size_t remainder = size % 64;
    if (remainder > 1 && remainder != 63) continue;
    const auto refused = test::read_through_pipe(ByteView(bytes).first(size));
    ASSERT_FALSE(refused) << "cut to " << size;
    ASSERT_EQ(refused.error().kind(), ErrorKind::kTruncated)
        << "cut to " << size << ": " << refused.error().to_string();
    ASSERT_EQ(refused.error().offset(), size);
    ASSERT_EQ(refused.error().file(), "pipe");
    ++cuts;
  }
  EXPECT_GT(cuts, bytes.size() / 64 * 2);
}

TEST_P(Stream, EveryFlippedByteIsCorrupt) {
  ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), GetParam());
  const auto sound = SnapshotReader::open(test::memory_file(bytes));
  ASSERT_TRUE(sound);
  std::vector<bool> is_bulk(bytes.size());
  for (const ChunkRecord& chunk : sound->container().chunks()) {
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end(); ++at) is_bulk[at] = true;
  }
  std::size_t flips = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    // Of RAM and schemas a sample does: their hash is one over everything.
    if (is_bulk[at] && at % 61 != 0) continue;
    bytes[at] ^= std::byte(1u << (at % 8));
    const auto refused = test::read_through_pipe(bytes);
    ASSERT_FALSE(refused) << "byte " << at;
    ASSERT_EQ(refused.error().kind(), ErrorKind::kCorrupt)
        << "byte " << at << ": " << refused.error().to_string();
    ASSERT_TRUE(refused.error().offset()) << refused.error().to_string();
    bytes[at] ^= std::byte(1u << (at % 8));
    ++flips;
  }
  EXPECT_GT(flips, 5'000u);
  EXPECT_TRUE(test::read_through_pipe(bytes));
}

TEST_P(Stream, NamesTheChunkThatIsDamagedAndNotTheOneBefore) {
  const ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), GetParam());
  const auto sound = SnapshotReader::open(test::memory_file(bytes));
  ASSERT_TRUE(sound);
  for (const ChunkRecord& chunk : sound->container().chunks()) {
    ByteVector bad = bytes;
    bad[chunk.offset + 20] ^= std::byte{1};
    const auto nameless = test::read_through_pipe(bad);
    ASSERT_FALSE(nameless);
    EXPECT_EQ(nameless.error().chunk(), "");
    EXPECT_EQ(nameless.error().offset(), chunk.offset);
    bad = bytes;
    bad[chunk.meta_offset() + 2] ^= std::byte{1};
    const auto named = test::read_through_pipe(bad);
    ASSERT_FALSE(named);
    EXPECT_EQ(named.error().chunk(), chunk.name());
    EXPECT_EQ(named.error().offset(), chunk.meta_offset());
    const auto cut = test::read_through_pipe(ByteView(bytes).first(chunk.meta_offset() + 2));
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().chunk(), chunk.name());
  }
}

TEST_P(Stream, ThatGoesOnAfterItsEndIsCorrupt) {
  ByteVector bytes = write(test::SmallSnapshot({16u << 10, false}).contents(), GetParam());
  bytes.push_back(std::byte{0});
  const auto refused = test::read_through_pipe(bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(refused.error().offset(), bytes.size() - 1);
}

TEST_P(Stream, OfASparseGuestCostsNoMemoryForItsZeros) {
  constexpr std::size_t kSize = 256u << 20;
  auto memory = Mapping::anonymous(kSize);
  ASSERT_TRUE(memory);
  memory->data()[100'000'000] = std::byte{1};
  const ByteVector bytes = write(one_segment(memory->bytes(), true), GetParam());
  const auto stream = test::read_through_pipe(bytes);
  ASSERT_TRUE(stream) << stream.error().to_string();
  const Mapping& got = stream->segments[0];
  std::vector<unsigned char> resident(kSize / 4096);
  ASSERT_EQ(::mincore(got.data(), kSize, resident.data()), 0);
  const auto pages = std::count_if(resident.begin(), resident.end(), [](auto r) { return (r & 1) != 0; });
  EXPECT_GE(pages, 1);
  EXPECT_LE(pages, 512);  // one huge page
  EXPECT_EQ(got.data()[100'000'000], std::byte{1});
}

TEST(StreamReader, WorksOverASocketAsOverAPipe) {
  const ByteVector bytes = test::SmallSnapshot().bytes();
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  std::thread writer([&bytes, fd = UniqueFd(fds[1])]() mutable {
    StreamSink sink(std::move(fd), "socket");
    EXPECT_TRUE(sink.write(bytes));
  });
  StreamSource source{UniqueFd(fds[0]), "socket"};
  const auto stream = read_snapshot_stream(source);
  writer.join();
  EXPECT_TRUE(stream) << stream.error().to_string();
}

TEST(StreamReader, AnEmptyStreamIsTruncated) {
  const auto refused = test::read_through_pipe({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kTruncated);
  EXPECT_THAT(refused.error().message(), HasSubstr("nothing comes"));
}

TEST(StreamReader, WhatIsNoSnapshotIsSaidToBeNone) {
  const auto refused = test::read_through_pipe(as_byte_view("hello"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(refused.error().message(), HasSubstr("not a vmsnap snapshot"));
}

TEST(StreamReader, CanBeCancelled) {
  const std::atomic<bool> cancelled{true};
  PassOptions pass;
  pass.cancelled = &cancelled;
  const auto refused = test::read_through_pipe(test::SmallSnapshot().bytes(), pass);
  EXPECT_EQ(verdict(refused), "invalid-state");
}

TEST(StreamReader, RefusesABatchWithOtherExtentsWhileThoseBeforeAreWorkedOn) {
  ByteVector memory(8u << 20);
  for (std::uint64_t i = 0; i < memory.size(); i += 8) store_le(MutableByteView(memory), i, i * i);
  const ByteVector bytes =
      write(one_segment(memory, false), {"extents", RamEncoding::kExtents, Codec::kNone});
  test::RawSnapshot raw = test::RawSnapshot::parse(bytes);
  const auto last = std::find_if(raw.chunks.rbegin(), raw.chunks.rend(), [](const test::RawChunk& chunk) {
    return chunk.spec.type == kChunkExtentRam;
  });
  auto meta = decode_extent_ram(last->meta, memory.size(), last->body.size(), Codec::kNone);
  ASSERT_TRUE(meta);
  ASSERT_GT(meta->first_extent, 0u);
  ASSERT_EQ(meta->first_extent % 2, 0u);
  ++meta->extent_shift;
  meta->first_extent /= 2;
  meta->leaves.resize((meta->leaves.size() + 1) / 2);
  last->meta = encode(*meta);
  last->body_hash = leaves_hash(meta->leaves);
  PassOptions pass;
  pass.threads = 3;
  const auto refused = test::read_through_pipe(raw.bytes(), pass);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(refused.error().message(), HasSubstr("its extents have 2^19 bytes"));
}

TEST(StreamReader, RefusesMoreMemoryThanThereAreAddressesFor) {
  constexpr std::uint64_t kSize = std::uint64_t{1} << 48;
  test::RawSnapshot raw = test::RawSnapshot::parse(write(test::SmallSnapshot({16u << 10, false}).contents(),
                                                         {"extents", RamEncoding::kExtents, Codec::kNone}));
  MemoryMap map;
  map.segments.push_back({0, "ram", SegmentKind::kSystemMemory, kSize});
  map.segments.push_back({1, "bootrom", SegmentKind::kDeviceMemory, 64u << 10});
  const auto meta = encode(map);
  ASSERT_TRUE(meta);
  raw.find(kChunkMemoryMap).meta = *meta;
  ExtentRamMeta ram;
  ram.extent_shift = 30;
  ram.leaves.assign(1, 0);
  ram.runs.push_back({PageRunKind::kZero, 1u << 18, 0});
  test::RawChunk& chunk = raw.find(kChunkExtentRam);
  chunk.meta = encode(ram);
  chunk.body.clear();
  chunk.spec.flags &= ~std::uint32_t{kChunkLeaves};
  const auto refused = test::read_through_pipe(raw.bytes());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded) << refused.error().to_string();
}

}  // namespace
}  // namespace vmsnap
