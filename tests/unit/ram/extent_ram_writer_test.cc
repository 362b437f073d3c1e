// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_ram_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "format/digest.h"
#include "ram/flat_ram_writer.h"
#include "ram/ram_loader.h"
#include "ram/stored_source.h"
#include "ram_file.h"
#include "random_memory.h"

namespace vmsnap {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

constexpr std::uint64_t kExtent = 256u << 10;
constexpr std::uint32_t kExtentPages = 64;

void fill_with_noise(MutableByteView bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < bytes.size(); i += 8) store_le<std::uint64_t>(bytes, i, random() | 1);
}

ByteVector noise(std::size_t size, std::uint64_t seed = 1) {
  ByteVector bytes(size);
  fill_with_noise(bytes, seed);
  return bytes;
}

/// Text-like bytes: LZ4 makes them shorter.
ByteVector text(std::size_t size) {
  ByteVector bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>('a' + i / 7 % 20 + i / 8191 % 5);
  return bytes;
}

WrittenRam write(test::RamFile& file, ExtentSource& source, Codec codec, const PassOptions& options = {}) {
  const auto written = write_extent_ram(file.writer(), 1, 0, source, codec, options);
  EXPECT_TRUE(written) << written.error().to_string();
  file.finish();
  return written ? *written : WrittenRam{};
}

WrittenRam write(test::RamFile& file, ByteView memory, Codec codec, const PassOptions& options = {}) {
  MemorySource source({memory, false});
  return write(file, source, codec, options);
}

std::vector<PageRun> runs_of(const std::vector<ExtentRamMeta>& batches) {
  std::vector<PageRun> runs;
  for (const ExtentRamMeta& batch : batches) runs.insert(runs.end(), batch.runs.begin(), batch.runs.end());
  return runs;
}

ByteVector content(const SegmentReader& segment) {
  ByteVector memory(segment.size());
  const auto loaded = load_segment(segment, memory, true);
  EXPECT_TRUE(loaded) << loaded.error().to_string();
  return memory;
}

/// Keeps nothing, but knows of each byte whether it came straight from guest memory.
class CopyCounter final : public Sink {
 public:
  explicit CopyCounter(ByteView guest) : guest_(guest) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::uint64_t from_guest() const { return from_guest_; }

 protected:
  [[nodiscard]] ssize_t write_some(std::span<const iovec> pieces) override {
    ssize_t taken = 0;
    for (const iovec& piece : pieces) {
      const auto* begin = static_cast<const std::byte*>(piece.iov_base);
      if (begin >= guest_.data() && begin + piece.iov_len <= guest_.data() + guest_.size())
        from_guest_ += piece.iov_len;
      taken += static_cast<ssize_t>(piece.iov_len);
    }
    return taken;
  }

 private:
  std::string name_ = "counter";
  ByteView guest_;
  std::uint64_t from_guest_ = 0;
};

TEST(ExtentRamWriter, PagesGoToTheSinkFromWhereTheyAreInGuestMemory) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const test::RandomMemory memory(seed);
    for (const unsigned threads : {1u, 2u}) {
      for (const ByteVector& segment : memory.segments()) {
        CopyCounter sink(segment);
        auto writer = test::begin_ram_file(sink);
        ASSERT_TRUE(writer);
        const std::uint64_t before = sink.position();
        MemorySource source({segment, false});
        const auto written = write_extent_ram(*writer, 1, 0, source, Codec::kNone, {threads});
        ASSERT_TRUE(written);
        EXPECT_EQ(sink.from_guest(), written->stored_bytes);
        // The rest is too small to hide pages: per chunk a header, a meta, and zeros up to a page boundary.
        test::RamFile file;
        write(file, segment, Codec::kNone);
        std::uint64_t framing = 0;
        std::uint64_t bodies = 0;
        for (const ChunkRecord* chunk : file.ram_chunks()) {
          framing += chunk->end - chunk->offset - chunk->header.body_size;
          bodies += chunk->header.body_size;
        }
        EXPECT_EQ(bodies, sink.from_guest());
        EXPECT_EQ(sink.position() - before, framing + bodies);
      }
    }
  }
}

TEST(ExtentRamWriter, GivesEachChunkAboutAMebibyteOfData) {
  const ByteVector memory = noise(10u << 20);
  test::RamFile file;
  const WrittenRam written = write(file, memory, Codec::kNone);
  EXPECT_EQ(written.data_bytes, memory.size());
  EXPECT_EQ(written.stored_bytes, memory.size());
  const std::vector<const ChunkRecord*> chunks = file.ram_chunks();
  EXPECT_EQ(chunks.size(), 10u);
  for (const ChunkRecord* chunk : chunks) {
    EXPECT_EQ(chunk->header.body_size, 1u << 20);
    EXPECT_EQ(chunk->body_offset() % kPageSize, 0u);
    EXPECT_TRUE(chunk->header.has_leaves());
  }
}

TEST(ExtentRamWriter, LeavesOutZeroPagesAndExtentsThatRepeatAnEarlierOne) {
  // Extent 0: ten pages of data, a zero page, the rest data. 1: zero. 2, 4, 5: as 0, but for one byte in 5.
  // 3: noise. 6: short.
  ByteVector memory(6 * kExtent + 3 * kPageSize);
  const MutableByteView all(memory);
  fill_with_noise(all.first(kExtent), 1);
  std::ranges::fill(all.subspan(10 * kPageSize, kPageSize), std::byte{0});
  for (const std::uint64_t extent : {2u, 4u, 5u})
    std::copy_n(memory.begin(), kExtent, memory.begin() + static_cast<std::ptrdiff_t>(extent * kExtent));
  memory[5 * kExtent + 100] ^= std::byte{1};
  fill_with_noise(all.subspan(3 * kExtent, kExtent), 2);
  fill_with_noise(all.subspan(6 * kExtent), 3);

  test::RamFile file;
  const WrittenRam written = write(file, memory, Codec::kNone);
  EXPECT_EQ(written.data_bytes, memory.size() - kExtent - 4 * kPageSize);
  EXPECT_EQ(written.stored_bytes, written.data_bytes - 2 * (kExtent - kPageSize));
  const std::vector<PageRun> expected = {
      {PageRunKind::kData, 10, 0},
      {PageRunKind::kZero, 1, 0},
      {PageRunKind::kData, 53, 0},
      {PageRunKind::kZero, 64, 0},
      {PageRunKind::kDuplicate, 10, 0},
      {PageRunKind::kZero, 1, 0},
      {PageRunKind::kDuplicate, 53, 11 * kPageSize},
      {PageRunKind::kData, 64, 0},
      {PageRunKind::kDuplicate, 10, 0},
      {PageRunKind::kZero, 1, 0},
      {PageRunKind::kDuplicate, 53, 11 * kPageSize},
      {PageRunKind::kData, 10, 0},
      {PageRunKind::kZero, 1, 0},
      {PageRunKind::kData, 53 + 3, 0},
  };
  EXPECT_EQ(runs_of(file.batches(memory.size())), expected);
  const auto segment = file.segment(memory.size());
  ASSERT_TRUE(segment) << segment.error().to_string();
  EXPECT_EQ(content(*segment), memory);
  EXPECT_EQ(segment->data_bytes(), written.stored_bytes);
}

TEST(ExtentRamWriter, ZeroAndRepeatedExtentsDoNotEndAChunk) {
  ByteVector memory(100 * kExtent);
  fill_with_noise(MutableByteView(memory).subspan(10 * kExtent, 2 * kExtent), 1);
  for (const std::uint64_t extent : {20u, 30u, 99u}) {
    std::copy_n(memory.begin() + 10 * kExtent, kExtent,
                memory.begin() + static_cast<std::ptrdiff_t>(extent * kExtent));
  }
  test::RamFile file;
  const WrittenRam written = write(file, memory, Codec::kNone);
  EXPECT_EQ(written.stored_bytes, 2 * kExtent);
  EXPECT_EQ(file.ram_chunks().size(), 1u);
  EXPECT_EQ(content(file.segment(memory.size()).value()), memory);
}

TEST(ExtentRamWriter, AMemoryOfZerosHasAChunkWithoutBody) {
  const ByteVector memory(2 * kExtent + kPageSize);
  for (const Codec codec : {Codec::kNone, Codec::kLz4}) {
    test::RamFile file;
    const WrittenRam written = write(file, memory, codec);
    EXPECT_EQ(written.data_bytes, 0u);
    ASSERT_EQ(file.ram_chunks().size(), 1u);
    EXPECT_EQ(file.ram_chunks().front()->header.body_size, 0u);
    EXPECT_EQ(file.ram_chunks().front()->header.codec(), 0u);
    EXPECT_EQ(content(file.segment(memory.size()).value()), memory);
  }
}

TEST(ExtentRamWriter, CompressesWhatIsWorthItAndKeepsTheRestAsItIs) {
  // One extent of text, one of noise, and one with single pages of noise between zero pages.
  ByteVector memory(3 * kExtent);
  std::ranges::copy(text(kExtent), memory.begin());
  fill_with_noise(MutableByteView(memory).subspan(kExtent, kExtent), 5);
  for (std::size_t page = 0; page < 40; page += 2) {
    fill_with_noise(MutableByteView(memory).subspan(2 * kExtent + page * kPageSize, kPageSize), page);
  }
  test::RamFile file;
  const WrittenRam written = write(file, memory, Codec::kLz4);
  EXPECT_EQ(written.data_bytes, 2 * kExtent + 20 * kPageSize);
  ASSERT_EQ(file.ram_chunks().size(), 1u);
  EXPECT_EQ(file.ram_chunks().front()->header.codec(), 1u);
  const std::vector<std::uint32_t> sizes = file.batches(memory.size()).front().block_sizes;
  ASSERT_EQ(sizes.size(), 4u + 4u + 2u);
  EXPECT_THAT(std::vector(sizes.begin(), sizes.begin() + 4), Each(::testing::Lt(20'000u)));
  EXPECT_THAT(std::vector(sizes.begin() + 4, sizes.end()),
              ElementsAre(65536, 65536, 65536, 65536, 65536, 4 * kPageSize));
  const auto segment = file.segment(memory.size());
  ASSERT_TRUE(segment) << segment.error().to_string();
  EXPECT_TRUE(segment->is_compressed());
  EXPECT_EQ(content(*segment), memory);
}

/// A segment of any size without any memory: extents are zero, or what the test says.
class InventedSource : public ExtentSource {
 public:
  InventedSource(std::uint64_t size, std::uint8_t shift) : ExtentSource(size, shift) {}

  std::uint64_t scans = 0;
  std::function<Result<void>(std::uint64_t index, Extent& extent)> invent;

  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override {
    ++scans;
    extent.begin = extent_begin(index);
    extent.end = extent_end(index);
    extent.leaf = 0;
    extent.data.clear();
    return invent ? invent(index, extent) : Result<void>{};
  }
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override {
    Extent other;
    VMSNAP_RETURN_IF_ERROR(scan(index, other));
    return std::ranges::equal(other.bytes, bytes);
  }
};

TEST(ExtentRamWriter, KeepsTheMetasOfTheLargestSegmentWithinTheLimits) {
  // 512 TiB less a page, the largest that the format can describe.
  const std::uint64_t size = (std::uint64_t{1} << 49) - kPageSize;
  InventedSource source(size, 30);
  test::RamFile file;
  write(file, source, Codec::kNone);
  EXPECT_LT(file.ram_chunks().size(), 1000u);
  std::uint64_t pages = 0;
  for (const PageRun& run : runs_of(file.batches(size))) pages += run.pages;
  EXPECT_EQ(pages, size / kPageSize);
  for (const ChunkRecord* chunk : file.ram_chunks()) EXPECT_LT(chunk->header.meta_size, 1u << 20);
}

TEST(ExtentRamWriter, GivesChunksOfAVeryLargeSegmentMoreData) {
  // 64 GiB, a page of data in every eighth extent.
  InventedSource source(std::uint64_t{64} << 30, 18);
  source.invent = [](std::uint64_t index, Extent& extent) -> Result<void> {
    extent.leaf = index;
    if (index % 8 != 0) return {};
    extent.storage.resize(extent.end - extent.begin);
    store_le(MutableByteView(extent.storage), 8, index + 1);
    extent.bytes = extent.storage;
    extent.data = {{extent.begin, extent.begin + kPageSize}};
    return {};
  };
  test::RamFile file;
  const WrittenRam written = write(file, source, Codec::kNone);
  EXPECT_EQ(written.stored_bytes, 128u << 20);
  const std::vector<const ChunkRecord*> chunks = file.ram_chunks();
  EXPECT_LE(chunks.size(), 40u);
  for (const ChunkRecord* chunk : chunks) EXPECT_LE(chunk->header.body_size, 4u << 20);
}

TEST(ExtentRamWriter, DoesNotTakeEqualHashesForEqualBytes) {
  InventedSource source(6 * kExtent, 18);
  source.invent = [](std::uint64_t index, Extent& extent) -> Result<void> {
    extent.storage = noise(kExtent, index % 3);
    extent.bytes = extent.storage;
    extent.leaf = 42;
    find_data(extent);
    return {};
  };
  test::RamFile file;
  write(file, source, Codec::kNone);
  const std::vector<PageRun> expected = {
      {PageRunKind::kData, 3 * kExtentPages, 0},
      {PageRunKind::kDuplicate, kExtentPages, 0},
      {PageRunKind::kData, kExtentPages, 0},
      {PageRunKind::kData, kExtentPages, 0},
  };
  EXPECT_EQ(runs_of(file.batches(6 * kExtent)), expected);
}

TEST(ExtentRamWriter, ReportsEveryByteOfTheSegmentOnce) {
  const test::RandomMemory memory(3);
  const ByteVector& segment = memory.segments().front();
  for (const Codec codec : {Codec::kNone, Codec::kLz4}) {
    for (const unsigned threads : {1u, 3u}) {
      std::atomic<std::uint64_t> done = 0;
      PassOptions options;
      options.threads = threads;
      options.progress = [&](std::uint64_t bytes) { done += bytes; };
      test::RamFile file;
      write(file, segment, codec, options);
      EXPECT_EQ(done, segment.size());
    }
  }
}

TEST(ExtentRamWriter, EndsWhenItIsCancelled) {
  const ByteVector memory = noise(16u << 20);
  for (const Codec codec : {Codec::kNone, Codec::kLz4}) {
    for (const unsigned threads : {1u, 3u}) {
      std::atomic<bool> cancelled = false;
      std::atomic<std::uint64_t> done = 0;
      PassOptions options;
      options.threads = threads;
      options.cancelled = &cancelled;
      options.progress = [&](std::uint64_t bytes) {
        done += bytes;
        if (done >= 3u << 20) cancelled = true;
      };
      test::RamFile file;
      MemorySource source({memory, false});
      const auto written = write_extent_ram(file.writer(), 1, 0, source, codec, options);
      ASSERT_FALSE(written);
      EXPECT_EQ(written.error().kind(), ErrorKind::kInvalidState);
      EXPECT_LT(done, memory.size());
    }
  }
}

/// Fails after a number of bytes.
class FullSink final : public Sink {
 public:
  explicit FullSink(std::uint64_t capacity) : capacity_(capacity) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

 protected:
  [[nodiscard]] ssize_t write_some(std::span<const iovec> pieces) override {
    const std::uint64_t room = capacity_ - position();
    if (room == 0) {
      errno = ENOSPC;
      return -1;
    }
    return static_cast<ssize_t>(std::min<std::uint64_t>(room, pieces.front().iov_len));
  }

 private:
  std::string name_ = "full";
  std::uint64_t capacity_;
};

TEST(ExtentRamWriter, EndsWithTheErrorOfTheSink) {
  const ByteVector memory = noise(8u << 20);
  for (const Codec codec : {Codec::kNone, Codec::kLz4}) {
    for (const unsigned threads : {1u, 3u}) {
      for (const std::uint64_t capacity : {3'000u, 3'000'000u}) {
        FullSink sink(capacity);
        auto writer = test::begin_ram_file(sink);
        ASSERT_TRUE(writer) << writer.error().to_string();
        MemorySource source({memory, false});
        const auto written = write_extent_ram(*writer, 1, 0, source, codec, {threads});
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().kind(), ErrorKind::kIo);
        EXPECT_EQ(written.error().file(), "full");
        EXPECT_EQ(written.error().offset(), capacity);
      }
    }
  }
}

TEST(ExtentRamWriter, EndsWithTheErrorOfTheSourceAndReadsNotMuchFurther) {
  for (const unsigned threads : {1u, 3u}) {
    InventedSource source(1000 * kExtent, 18);
    source.invent = [](std::uint64_t index, Extent& extent) -> Result<void> {
      if (index == 40) return Error(ErrorKind::kCorrupt, "extent 40");
      extent.storage = noise(kExtent, index);
      extent.bytes = extent.storage;
      extent.leaf = index;
      find_data(extent);
      return {};
    };
    test::RamFile file;
    const auto written = write_extent_ram(file.writer(), 1, 0, source, Codec::kLz4, {threads});
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message(), "extent 40");
    EXPECT_EQ(source.scans, 41u);
  }
}

/// Writes `source` in one of the encodings: 0 flat, 1 extents, 2 LZ4.
Result<WrittenRam> write_as(test::RamFile& file, int encoding, ExtentSource& source) {
  auto written = encoding == 0 ? write_flat_ram(file.writer(), 1, 0, source)
                               : write_extent_ram(file.writer(), 1, 0, source,
                                                  encoding == 1 ? Codec::kNone : Codec::kLz4, {2});
  if (written) file.finish();
  return written;
}

TEST(StoredSource, EveryEncodingBecomesEveryOther) {
  for (std::uint64_t seed = 20; seed < 24; ++seed) {
    const ByteVector memory = test::RandomMemory(seed).segments().front();
    for (int from = 0; from < 3; ++from) {
      MemorySource original({memory, false});
      test::RamFile first;
      const auto written = write_as(first, from, original);
      ASSERT_TRUE(written) << written.error().to_string();
      const auto stored = first.segment(memory.size());
      ASSERT_TRUE(stored) << stored.error().to_string();
      for (int to = 0; to < 3; ++to) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", from " << from << " to " << to);
        StoredSource source(*stored);
        EXPECT_EQ(source.extent_count(), stored->leaves().size());
        test::RamFile second;
        const auto again = write_as(second, to, source);
        ASSERT_TRUE(again) << again.error().to_string();
        EXPECT_EQ(again->data_bytes, written->data_bytes);
        const auto copy = second.segment(memory.size());
        ASSERT_TRUE(copy) << copy.error().to_string();
        EXPECT_TRUE(content(*copy) == memory);
        EXPECT_TRUE(std::ranges::equal(copy->leaves(), stored->leaves()));
        // From memory or from a file: the same bytes are written.
        if (to != from) continue;
        EXPECT_TRUE(test::read_whole(second.reader().file()) == test::read_whole(first.reader().file()));
      }
    }
  }
}

TEST(StoredSource, RefusesAnExtentThatDoesNotMatchItsLeaf) {
  const ByteVector memory = noise(4 * kExtent);
  for (int from = 0; from < 3; ++from) {
    MemorySource original({memory, false});
    test::RamFile file;
    ASSERT_TRUE(write_as(file, from, original));
    const std::uint64_t at = file.ram_chunks().front()->body_offset() + 2 * kExtent + 5;
    std::byte byte{};
    ASSERT_TRUE(file.reader().file().read_at(at, {&byte, 1}));
    byte ^= std::byte{4};
    ASSERT_TRUE(file.reader().file().write_at(at, {&byte, 1}));
    const auto stored = file.segment(memory.size());
    ASSERT_TRUE(stored);
    for (int to = 0; to < 3; ++to) {
      StoredSource source(*stored);
      test::RamFile copy;
      const auto refused = write_as(copy, to, source);
      ASSERT_FALSE(refused) << from << " to " << to;
      EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
      EXPECT_THAT(refused.error().message(), HasSubstr("from 0x80000 of segment 0"));
    }
  }
}

TEST(StoredSource, ComparesBytesAndNotHashes) {
  const ByteVector memory = noise(3 * kExtent + kPageSize);
  MemorySource original({memory, false});
  test::RamFile file;
  ASSERT_TRUE(write_as(file, 2, original));
  const auto stored = file.segment(memory.size());
  ASSERT_TRUE(stored);
  StoredSource source(*stored);
  const ByteView all(memory);
  for (ExtentSource* each : {static_cast<ExtentSource*>(&original), static_cast<ExtentSource*>(&source)}) {
    EXPECT_TRUE(each->holds(1, all.subspan(kExtent, kExtent)).value());
    EXPECT_FALSE(each->holds(1, all.first(kExtent)).value());
    EXPECT_FALSE(each->holds(3, all.subspan(3 * kExtent, 0)).value());
    EXPECT_TRUE(each->holds(3, all.subspan(3 * kExtent)).value());
  }
}

TEST(ExtentRamFeatures, AreThoseOfTheCodec) {
  EXPECT_THAT(extent_ram_features(Codec::kNone),
              ElementsAre(AllOf(Field(&Feature::bit, 0), Field(&Feature::name, "ram-extents"))));
  EXPECT_THAT(extent_ram_features(Codec::kLz4),
              ElementsAre(Field(&Feature::name, "ram-extents"),
                          AllOf(Field(&Feature::bit, 1), Field(&Feature::name, "lz4"))));
}

}  // namespace
}  // namespace vmsnap
