// SPDX-License-Identifier: BSD-2-Clause
// Memory that is used while it is restored: right from the first byte, or the process ends.
#include "ram/lazy_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "../base/temp_dir.h"
#include "format/constants.h"
#include "ram/flat_ram.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kExtent = 256u << 10;

/// Data, zero pages and whole zero extents in turns; the last page is data.
ByteVector patchy_memory(std::uint64_t size, std::uint32_t seed) {
  ByteVector memory(size);
  std::mt19937 random(seed);
  for (std::uint64_t at = 0; at < size; at += kPageSize) {
    const bool zero_extent = at / kExtent % 5 == 3;
    const bool last = at + kPageSize == size;
    if (!last && (zero_extent || random() % 4 == 0)) continue;
    for (std::uint64_t i = 0; i < kPageSize; i += 64) {
      const auto word = static_cast<std::uint32_t>(random());
      std::memcpy(&memory[at + i], &word, sizeof word);
    }
    memory[at] = std::byte{1};
  }
  return memory;
}

SnapshotContents contents_of(const std::vector<ByteView>& segments) {
  SnapshotContents contents;
  contents.manifest.producer_name = "lazy-memory-test";
  std::uint64_t address = 0;
  for (const ByteView& segment : segments) {
    const auto id = static_cast<std::uint32_t>(contents.segments.size());
    contents.memory_map.segments.push_back(
        {id, "ram-" + std::to_string(id), SegmentKind::kSystemMemory, segment.size()});
    contents.memory_map.mappings.push_back({id, 0, Gpa(address), segment.size(), false});
    contents.segments.push_back({segment, false});
    address += segment.size();
  }
  return contents;
}

/// Restores every segment of a file.
struct Restored {
  std::shared_ptr<SnapshotReader> reader;
  std::vector<Mapping> memory;
  std::unique_ptr<LazyMemory> lazy;
};

Result<Restored> restore_lazily(const std::string& path, LazyOptions options) {
  Restored restored;
  VMSNAP_ASSIGN_OR_RETURN(SnapshotReader reader, SnapshotReader::open(path));
  restored.reader = std::make_shared<SnapshotReader>(std::move(reader));
  std::vector<LazySegment> segments;
  for (const MemorySegment& segment : restored.reader->memory_map().segments) {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader stored, restored.reader->segment(segment.id));
    VMSNAP_ASSIGN_OR_RETURN(Mapping memory, Mapping::anonymous(segment.size));
    segments.push_back({std::move(stored), memory.bytes()});
    restored.memory.push_back(std::move(memory));
  }
  VMSNAP_ASSIGN_OR_RETURN(restored.lazy,
                          LazyMemory::start(std::move(segments), restored.reader, std::move(options)));
  return restored;
}

/// Changes the last byte that a snapshot holds of its segment 0.
void damage_last_extent(const std::string& path) {
  auto reader = SnapshotReader::open(path);
  ASSERT_TRUE(reader);
  const ChunkRecord& chunk = *reader->segment_chunks(0).back();
  auto file = File::open_for_writing(path);
  ASSERT_TRUE(file);
  ByteVector byte(1);
  ASSERT_TRUE(file->read_at(chunk.body_end() - 1, byte));
  byte[0] ^= std::byte{0x40};
  ASSERT_TRUE(file->write_at(chunk.body_end() - 1, byte));
}

struct Encoding {
  const char* name;
  RamEncoding encoding;
  Codec codec;
};

class LazyMemoryTest : public ::testing::TestWithParam<Encoding> {
 protected:
  void SetUp() override {
    if (const auto faults = UserFault::open(); !faults) GTEST_SKIP() << faults.error().to_string();
    ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  }

  [[nodiscard]] virtual Encoding encoding() const { return GetParam(); }
  [[nodiscard]] SnapshotWriteOptions write_options() const {
    SnapshotWriteOptions options;
    options.uuid = test::test_uuid();
    options.encoding = encoding().encoding;
    options.codec = encoding().codec;
    return options;
  }
  void write(const std::vector<ByteView>& segments) {
    const auto written = write_snapshot(path(), contents_of(segments), {}, write_options());
    ASSERT_TRUE(written) << written.error().to_string();
  }
  [[nodiscard]] std::string path() const { return dir_.file("s"); }

  TempDir dir_;
};

class LazyFlatMemoryTest : public LazyMemoryTest {
 protected:
  [[nodiscard]] Encoding encoding() const override { return {"Flat", RamEncoding::kFlat, Codec::kNone}; }
};

INSTANTIATE_TEST_SUITE_P(Encodings, LazyMemoryTest,
                         ::testing::Values(Encoding{"Flat", RamEncoding::kFlat, Codec::kNone},
                                           Encoding{"Extents", RamEncoding::kExtents, Codec::kNone},
                                           Encoding{"Lz4", RamEncoding::kExtents, Codec::kLz4}),
                         [](const auto& encoding) { return encoding.param.name; });

TEST_P(LazyMemoryTest, HoldsWhatWasSavedWhileManyThreadsTouchItAtRandom) {
  const ByteVector low = patchy_memory(21 * kExtent + 3 * kPageSize, 1);
  const ByteVector high = patchy_memory(40 * kExtent, 2);
  const ByteVector tiny = patchy_memory(kPageSize, 3);
  write({low, high, tiny});
  for (const unsigned fill_threads : {0u, 1u, 3u}) {
    LazyOptions options;
    options.fill_threads = fill_threads;
    options.on_error = [](const Error& error) { ADD_FAILURE() << error.to_string(); };
    auto restored = restore_lazily(path(), options);
    ASSERT_TRUE(restored) << restored.error().to_string();
    std::vector<std::thread> threads;
    std::atomic<unsigned> wrong{0};
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 1500; ++i) {
          const std::size_t s = random() % 3;
          const ByteVector& expected = s == 0 ? low : s == 1 ? high : tiny;
          const std::uint64_t at = random() % (expected.size() / 64) * 64;
          if (restored->memory[s].data()[at] != expected[at]) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0u);
    ASSERT_TRUE(restored->lazy->wait_filled());
    EXPECT_TRUE(restored->lazy->is_filled());
    EXPECT_TRUE(std::ranges::equal(restored->memory[0].bytes(), low));
    EXPECT_TRUE(std::ranges::equal(restored->memory[1].bytes(), high));
    EXPECT_TRUE(std::ranges::equal(restored->memory[2].bytes(), tiny));
    EXPECT_EQ(restored->lazy->stats().extents, 22u + 40 + 1);
    EXPECT_EQ(restored->lazy->stats().present, 22u + 40 + 1);
  }
}

TEST_P(LazyMemoryTest, KeepsWhatIsWrittenToItWhileItFills) {
  const ByteVector memory = patchy_memory(32 * kExtent, 4);
  write({memory});
  auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  ByteVector expected = memory;
  std::mt19937 random(5);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t at = random() % memory.size();
    restored->memory[0].data()[at] = expected[at] = static_cast<std::byte>(i | 1);
  }
  ASSERT_TRUE(restored->lazy->wait_filled(2));
  EXPECT_TRUE(std::ranges::equal(restored->memory[0].bytes(), expected));
}

TEST_F(LazyFlatMemoryTest, BringsNothingButTheExtentThatIsTouched) {
  const ByteVector memory = patchy_memory(20 * kExtent, 6);
  write({memory});
  LazyOptions options;
  options.fill_threads = 0;
  auto restored = restore_lazily(path(), options);
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->memory[0].data()[7 * kExtent + 5], memory[7 * kExtent + 5]);
  EXPECT_EQ(restored->memory[0].data()[7 * kExtent + kExtent - 1], memory[7 * kExtent + kExtent - 1]);
  EXPECT_EQ(restored->lazy->stats().present, 1u);
  EXPECT_FALSE(restored->lazy->is_filled());
  ASSERT_TRUE(restored->lazy->wait_filled());
  EXPECT_EQ(restored->lazy->stats().present, 20u);
}

TEST_F(LazyFlatMemoryTest, PopulatesNoZeroPageThatNobodyTouches) {
  ByteVector memory(8 * kExtent);
  memory[3 * kExtent] = std::byte{1};
  write({memory});
  auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  ASSERT_TRUE(restored->lazy->wait_filled());
  std::vector<unsigned char> present(memory.size() / kPageSize);
  ASSERT_EQ(::mincore(restored->memory[0].data(), memory.size(), present.data()), 0);
  EXPECT_EQ(std::ranges::count(present, 1), 1);
  EXPECT_TRUE(std::ranges::equal(restored->memory[0].bytes(), memory));
}

TEST_F(LazyFlatMemoryTest, ReadsZerosWhereTheFileHoldsZerosInsteadOfAHole) {
  const ByteVector memory = patchy_memory(10 * kExtent, 7);
  write({memory});
  // A copy by a program that knows no holes.
  test::write_whole(dir_.file("dense"), test::read_whole(path()));
  LazyOptions options;
  options.fill_threads = 0;
  auto restored = restore_lazily(dir_.file("dense"), options);
  ASSERT_TRUE(restored);
  EXPECT_TRUE(std::ranges::equal(restored->memory[0].bytes(), memory));
  EXPECT_TRUE(restored->lazy->wait_filled());
}

TEST_F(LazyFlatMemoryTest, ServesSystemCallsThatTouchWhatIsMissing) {
  const ByteVector memory = patchy_memory(6 * kExtent, 8);
  write({memory});
  LazyOptions options;
  options.fill_threads = 0;
  auto restored = restore_lazily(path(), options);
  ASSERT_TRUE(restored);
  const File copy = test::memory_file({});
  ASSERT_TRUE(copy.write_at(0, restored->memory[0].bytes()));
  EXPECT_EQ(test::read_whole(copy), memory);
}

TEST_P(LazyMemoryTest, ASnapshotThatIsWrittenOnceItIsFilledEqualsTheFirst) {
  const ByteVector low = patchy_memory(10 * kExtent, 9);
  const ByteVector high = patchy_memory(9 * kExtent + kPageSize, 10);
  write({low, high});
  auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  ASSERT_TRUE(restored->lazy->wait_filled(2));
  SnapshotContents contents = contents_of({restored->memory[0].bytes(), restored->memory[1].bytes()});
  for (RamSource& segment : contents.segments) segment.private_anonymous = true;
  ASSERT_TRUE(write_snapshot(dir_.file("second"), contents, {}, write_options()));
  EXPECT_EQ(test::read_whole(dir_.file("second")), test::read_whole(path()));
}

TEST_F(LazyFlatMemoryTest, LetsGoOfTheFileWhenAllIsThere) {
  write({patchy_memory(3 * kExtent, 11)});
  auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  std::weak_ptr<SnapshotReader> reader = restored->reader;
  restored->reader.reset();
  ASSERT_TRUE(restored->lazy->wait_filled());
  EXPECT_TRUE(reader.expired());
  EXPECT_TRUE(restored->lazy->wait_filled());
}

TEST_P(LazyMemoryTest, NamesTheExtentThatIsDamagedOnceAndBringsNoneOfIt) {
  const ByteVector memory = patchy_memory(12 * kExtent + 2 * kPageSize, 12);
  write({memory});
  damage_last_extent(path());
  for (const unsigned fill_threads : {0u, 2u}) {
    std::atomic<unsigned> calls{0};
    LazyOptions options;
    options.fill_threads = fill_threads;
    options.on_error = [&](const Error& error) {
      ++calls;
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    };
    auto restored = restore_lazily(path(), options);
    ASSERT_TRUE(restored);
    for (int i = 0; i < 2; ++i) {
      const auto filled = restored->lazy->wait_filled(2);
      ASSERT_FALSE(filled);
      EXPECT_EQ(filled.error().kind(), ErrorKind::kCorrupt);
      EXPECT_EQ(filled.error().file(), path());
      EXPECT_THAT(filled.error().message(),
                  HasSubstr("8192 bytes of guest memory from 0x300000 of segment 0"));
    }
    EXPECT_EQ(calls, 1u);
    EXPECT_FALSE(restored->lazy->is_filled());
    // What is sound is served all the same.
    EXPECT_EQ(restored->memory[0].data()[5 * kExtent + 7], memory[5 * kExtent + 7]);
    std::array<unsigned char, 2> present{};
    ASSERT_EQ(::mincore(restored->memory[0].data() + 12 * kExtent, 2 * kPageSize, present.data()), 0);
    EXPECT_THAT(present, ::testing::Each(::testing::Eq(0)));
  }
}

TEST_F(LazyFlatMemoryTest, SaysWhereInMemoryTheDamageIs) {
  write({patchy_memory(12 * kExtent + 2 * kPageSize, 21)});
  damage_last_extent(path());
  const auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  const auto filled = restored->lazy->wait_filled();
  ASSERT_FALSE(filled);
  EXPECT_THAT(filled.error().message(), HasSubstr("8192 bytes of guest memory from 0x300000 of segment 0"));
}

TEST_F(LazyFlatMemoryTest, FindsAHoleInThePlaceOfData) {
  const ByteVector memory = patchy_memory(4 * kExtent, 13);
  write({memory});
  {
    auto reader = SnapshotReader::open(path());
    ASSERT_TRUE(reader);
    const ChunkRecord& chunk = *reader->segment_chunks(0).front();
    auto file = File::open_for_writing(path());
    ASSERT_TRUE(file);
    ASSERT_EQ(::fallocate(file->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                          static_cast<off_t>(chunk.body_offset() + kExtent), kExtent),
              0);
  }
  auto restored = restore_lazily(path(), {});
  ASSERT_TRUE(restored);
  const auto filled = restored->lazy->wait_filled();
  ASSERT_FALSE(filled);
  EXPECT_THAT(filled.error().message(), HasSubstr("from 0x40000 of segment 0"));
}

TEST_F(LazyFlatMemoryTest, BringsDamageWhenItIsToldNotToVerify) {
  write({patchy_memory(4 * kExtent, 14)});
  damage_last_extent(path());
  LazyOptions options;
  options.verify = false;
  auto restored = restore_lazily(path(), options);
  ASSERT_TRUE(restored);
  EXPECT_TRUE(restored->lazy->wait_filled());
}

TEST_F(LazyFlatMemoryTest, BringsNothingFromBehindTheEndOfAFileThatBecameShorter) {
  write({patchy_memory(12 * kExtent, 15)});
  LazyOptions options;
  options.fill_threads = 0;
  auto restored = restore_lazily(path(), options);
  ASSERT_TRUE(restored);
  ASSERT_EQ(::truncate(path().c_str(), 100'000), 0);
  const auto filled = restored->lazy->wait_filled();
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().kind(), ErrorKind::kTruncated);
  EXPECT_THAT(filled.error().message(), HasSubstr("the file became shorter"));
  EXPECT_EQ(filled.error().file(), path());
  EXPECT_EQ(filled.error().offset(), 100'000u);
  EXPECT_EQ(restored->lazy->stats().present, 0u);
}

TEST_F(LazyFlatMemoryTest, MemoryThatIsNotFilledIsOutOfReachAfterwards) {
  write({patchy_memory(12 * kExtent, 16)});
  LazyOptions options;
  options.fill_threads = 0;
  auto restored = restore_lazily(path(), options);
  ASSERT_TRUE(restored);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  ASSERT_EQ(::write(in.get(), restored->memory[0].data(), 1), 1);
  restored->lazy.reset();
  for (const std::uint64_t at : {std::uint64_t{0}, 2 * kExtent, 11 * kExtent}) {
    EXPECT_EQ(::write(in.get(), restored->memory[0].data() + at, 1), -1) << at;
    EXPECT_EQ(errno, EFAULT);
  }
}

TEST_F(LazyFlatMemoryTest, RefusesMemoryOfAnotherSize) {
  write({patchy_memory(2 * kExtent, 17)});
  auto opened = SnapshotReader::open(path());
  ASSERT_TRUE(opened);
  const auto reader = std::make_shared<SnapshotReader>(std::move(*opened));
  auto stored = reader->segment(0);
  ASSERT_TRUE(stored);
  const auto memory = Mapping::anonymous(kExtent);
  ASSERT_TRUE(memory);
  std::vector<LazySegment> segments;
  segments.push_back({std::move(*stored), memory->bytes()});
  const auto refused = LazyMemory::start(std::move(segments), reader, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
}

TEST_F(LazyFlatMemoryTest, RefusesExtentsThatNeedTooLargeABuffer) {
  const ByteVector page = patchy_memory(kPageSize, 20);
  write({page});
  test::RawSnapshot raw = test::RawSnapshot::parse(test::read_whole(path()));
  FlatRamMeta meta;
  meta.extent_shift = LazyMemory::kMaxExtentShift + 1;
  meta.data_bytes = kPageSize;
  meta.leaves = {xxh3_64(page)};
  raw.find(kChunkFlatRam).meta = encode(meta);
  test::write_whole(path(), raw.bytes());
  const auto refused = restore_lazily(path(), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(refused.error().message(), HasSubstr("load the memory eagerly"));
}

/// Runs in a process of its own that must end, and not by the alarm. Threads touch the damaged extent in user
/// mode and in a system call, and wait; then the error comes.
[[noreturn]] void touch_damaged_extent(const std::string& path) {
  ::alarm(30);
  std::atomic<unsigned> waiting{0};
  LazyOptions options;
  options.fill_threads = 0;
  options.on_error = [&](const Error& error) {
    while (waiting.load() < 4) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::fprintf(stderr, "%s\n", error.to_string().c_str());
    ::_exit(4);
  };
  auto restored = restore_lazily(path, options);
  if (!restored) ::_exit(1);
  const MutableByteView memory = restored->memory[0].bytes();
  std::byte* const bad = memory.data() + memory.size() - kPageSize;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      ++waiting;
      if (i % 2 == 0) {
        *reinterpret_cast<volatile std::byte*>(bad) = std::byte{1};
      } else {
        const int null = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
        if (::read(null, bad, 1) != 1) ::_exit(2);
      }
      ::_exit(3);  // it saw memory that was never restored
    });
  }
  threads.front().join();
  ::_exit(5);
}

TEST_P(LazyMemoryTest, ThreadsThatTouchADamagedExtentEndWithTheProcess) {
  write({patchy_memory(12 * kExtent, 18)});
  damage_last_extent(path());
  EXPECT_EXIT(touch_damaged_extent(path()), ::testing::ExitedWithCode(4), "offset .* of .*guest memory");
}

/// Ends the process by `end` while memory is filled and touched.
[[noreturn]] void end_while_filling(const std::string& path, void (*end)()) {
  ::alarm(30);
  LazyOptions options;
  options.fill_threads = 2;
  auto restored = restore_lazily(path, options);
  if (!restored) ::_exit(1);
  const MutableByteView memory = restored->memory[0].bytes();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      while (true) {
        reinterpret_cast<volatile std::byte&>(memory[random() % memory.size()]) = std::byte{1};
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  end();
  ::_exit(1);
}

TEST_P(LazyMemoryTest, TheProcessCanEndInAnyWayWhileItFills) {
  write({patchy_memory(60 * kExtent, 19)});
  EXPECT_EXIT(end_while_filling(path(), [] { ::_exit(0); }), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(end_while_filling(path(), [] { ::kill(::getpid(), SIGKILL); }),
              ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(end_while_filling(path(), [] { std::abort(); }), ::testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace vmsnap
