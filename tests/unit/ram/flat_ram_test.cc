// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "../base/temp_dir.h"
#include "container/chunk_reader.h"
#include "container/chunk_writer.h"
#include "format/digest.h"
#include "ram/extent_source.h"
#include "ram/flat_ram_writer.h"
#include "ram/ram_loader.h"
#include "ram/segment_reader.h"
#include "ram_file.h"
#include "random_memory.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"

namespace {

/// What pwrite(2) is given while a CopyCounter lives: of guest memory, and of anything else.
std::atomic<const std::byte*> watched_begin{nullptr};
std::atomic<const std::byte*> watched_end{nullptr};
std::atomic<std::uint64_t> bytes_from_guest{0};
std::atomic<std::uint64_t> bytes_from_elsewhere{0};

}  // namespace

/// Takes the place of the one in libc for this program.
extern "C" ssize_t pwrite64(int fd, const void* buffer, size_t size, off64_t offset) {
  const ssize_t written = ::syscall(SYS_pwrite64, fd, buffer, size, offset);
  if (written > 0 && watched_begin.load() != nullptr) {
    const auto* begin = static_cast<const std::byte*>(buffer);
    const bool guest = begin >= watched_begin.load() && begin + written <= watched_end.load();
    (guest ? bytes_from_guest : bytes_from_elsewhere) += static_cast<std::uint64_t>(written);
  }
  return written;
}

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

class CopyCounter {
 public:
  explicit CopyCounter(ByteView guest) {
    bytes_from_guest = 0;
    bytes_from_elsewhere = 0;
    watched_end = guest.data() + guest.size();
    watched_begin = guest.data();
  }
  CopyCounter(const CopyCounter&) = delete;
  CopyCounter& operator=(const CopyCounter&) = delete;
  ~CopyCounter() { watched_begin = nullptr; }

  [[nodiscard]] std::uint64_t from_guest() const { return bytes_from_guest; }
  [[nodiscard]] std::uint64_t from_elsewhere() const { return bytes_from_elsewhere; }
};

constexpr std::uint64_t kExtent = 256u << 10;

/// A file in a directory with one RAMF chunk, so that holes are those of a real file system.
class FlatRamFile : public ::testing::Test {
 protected:
  void write(const RamSource& source, std::uint8_t body_align_shift = 12) {
    test::write_whole(dir_.file("ram"), {});
    auto file = File::open_for_writing(dir_.file("ram"));
    ASSERT_TRUE(file);
    FileHeader header;
    header.uuid = test::test_uuid();
    header.body_align_shift = body_align_shift;
    FileSink sink(*file);
    auto writer = ChunkWriter::begin(sink, header);
    ASSERT_TRUE(writer);
    for (const auto& [type, id] : {std::pair(FourCc("CONF"), 1), std::pair(FourCc("MEMM"), 1)}) {
      if (id == 1 && writer->written().empty()) {
        ASSERT_TRUE(writer->append({kChunkSchema, 0, 1}, ByteVector(8), ByteVector(8)));
      }
      ASSERT_TRUE(writer->append({type, 1}, ByteVector(8)));
    }
    auto written = write_flat_ram(*writer, 1, 0, source);
    ASSERT_TRUE(written) << written.error().to_string();
    written_ = *written;
    ASSERT_TRUE(writer->finish(1, 1));
    auto reader = ChunkReader::open(std::move(*file));
    ASSERT_TRUE(reader) << reader.error().to_string();
    reader_.emplace(std::move(*reader));
    chunk_ = reader_->chunks()[3];
    auto meta = read_flat_ram_meta(reader_->file(), chunk_);
    ASSERT_TRUE(meta) << meta.error().to_string();
    meta_ = *meta;
    const std::array chunks = {&std::as_const(chunk_)};
    auto segment = SegmentReader::open(reader_->file(), 0, chunk_.header.body_size, chunks);
    ASSERT_TRUE(segment) << segment.error().to_string();
    segment_.emplace(std::move(*segment));
  }

  [[nodiscard]] std::uint64_t allocated_bytes() const {
    struct stat status {};
    EXPECT_EQ(::fstat(reader_->file().fd(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

  TempDir dir_;
  WrittenRam written_;
  std::optional<ChunkReader> reader_;
  ChunkRecord chunk_;
  FlatRamMeta meta_;
  std::optional<SegmentReader> segment_;
};

ByteVector sparse_memory() {
  ByteVector memory(20 * kExtent + 3 * kPageSize);
  std::fill_n(memory.begin(), kPageSize, std::byte{1});
  std::fill_n(memory.begin() + 3 * kExtent + 7 * kPageSize, 5 * kPageSize, std::byte{2});
  std::fill_n(memory.begin() + 8 * kExtent, 6 * kExtent, std::byte{3});
  memory.back() = std::byte{4};
  return memory;
}

TEST_F(FlatRamFile, HoldsTheMemoryByteForByteWithHolesForZeroPages) {
  const ByteVector memory = sparse_memory();
  write({memory, false});
  EXPECT_EQ(written_.data_bytes, 7 * kPageSize + 6 * kExtent);
  EXPECT_EQ(meta_.data_bytes, written_.data_bytes);
  EXPECT_EQ(written_.stored_bytes, written_.data_bytes);
  ByteVector back(memory.size());
  ASSERT_TRUE(reader_->file().read_at(chunk_.body_offset(), back));
  EXPECT_EQ(back, memory);
  EXPECT_LT(allocated_bytes(), written_.data_bytes + 64 * 1024);
}

TEST_F(FlatRamFile, LeavesAreTheHashesOfTheExtentsZeroPagesIncluded) {
  const ByteVector memory = sparse_memory();
  write({memory, false});
  ASSERT_EQ(meta_.leaves.size(), 21u);
  for (std::uint64_t i = 0; i < meta_.leaves.size(); ++i) {
    const std::uint64_t begin = i * kExtent;
    const ByteView extent =
        ByteView(memory).subspan(begin, std::min<std::uint64_t>(kExtent, memory.size() - begin));
    EXPECT_EQ(meta_.leaves[i], xxh3_64(extent)) << i;
  }
  EXPECT_EQ(chunk_.header.body_hash, leaves_hash(meta_.leaves));
}

TEST_F(FlatRamFile, PrivateAnonymousMemoryIsWrittenTheSameWithoutTouchingItsAbsentPages) {
  const ByteVector content = sparse_memory();
  const std::uint64_t size = std::uint64_t{1} << 30;
  const auto memory = Mapping::anonymous(size);
  ASSERT_TRUE(memory);
  std::memcpy(memory->data() + (512u << 20), content.data(), content.size());
  write({memory->bytes(), true});
  EXPECT_EQ(written_.data_bytes, 7 * kPageSize + 6 * kExtent);
  const auto back = segment_->map();
  ASSERT_TRUE(back);
  EXPECT_EQ(std::memcmp(back->data() + (512u << 20), content.data(), content.size()), 0);
  EXPECT_TRUE(verify_segment(*segment_, {}));
  // What was never populated before is not populated now: mincore(2) reports private anonymous pages so.
  std::vector<unsigned char> present(kExtent / kPageSize);
  ASSERT_EQ(::mincore(memory->data() + (900u << 20), kExtent, present.data()), 0);
  EXPECT_THAT(present, ::testing::Each(::testing::Eq(0)));
}

TEST_F(FlatRamFile, MapsBackWritableWithoutChangingTheFile) {
  const ByteVector memory = sparse_memory();
  write({memory, false}, 21);
  EXPECT_EQ(chunk_.body_offset() % (2u << 20), 0u);
  const auto mapping = segment_->map();
  ASSERT_TRUE(mapping) << mapping.error().to_string();
  ASSERT_EQ(mapping->size(), memory.size());
  EXPECT_EQ(std::memcmp(mapping->data(), memory.data(), memory.size()), 0);
  std::memset(mapping->data(), 0xEE, mapping->size());
  EXPECT_TRUE(verify_segment(*segment_, {}));
}

TEST_F(FlatRamFile, MappedMemoryIsSavedAgainWithoutReadingWhatIsAHoleOfItsFile) {
  const std::uint64_t size = 64u << 20;
  ByteVector memory(size);
  std::fill_n(memory.begin() + 5 * kExtent, kPageSize, std::byte{5});
  write({memory, false});
  const auto mapping = segment_->map();
  ASSERT_TRUE(mapping);
  const std::uint64_t written_to = 100 * kExtent + 3 * kPageSize;
  mapping->data()[written_to] = std::byte{7};
  memory[written_to] = std::byte{7};

  RamSource source;
  source.bytes = mapping->bytes();
  source.mapped_from = &*segment_;
  MemorySource again(source);
  std::uint64_t data_bytes = 0;
  for (std::uint64_t i = 0; i < again.extent_count(); ++i) {
    Extent extent;
    ASSERT_TRUE(again.scan(i, extent));
    EXPECT_EQ(extent.leaf, xxh3_64(ByteView(memory).subspan(i * kExtent, kExtent))) << i;
    data_bytes += extent.data_bytes();
  }
  EXPECT_EQ(data_bytes, 2 * kPageSize);
  // mincore(2) tells of a file mapping which pages the page cache has.
  std::vector<unsigned char> cached(kExtent / kPageSize);
  ASSERT_EQ(::mincore(mapping->data() + 200 * kExtent, kExtent, cached.data()), 0);
  EXPECT_THAT(cached, ::testing::Each(::testing::Eq(0)));
}

TEST_F(FlatRamFile, VerifiesOverTheMappingAndOverTheFileWithAnyNumberOfThreads) {
  const ByteVector memory = sparse_memory();
  write({memory, false});
  const auto mapping = segment_->map();
  ASSERT_TRUE(mapping);
  for (const unsigned threads : {0u, 1u, 2u, 7u, 1000u}) {
    EXPECT_TRUE(verify_segment(*segment_, mapping->bytes(), {threads})) << threads;
    EXPECT_TRUE(verify_segment(*segment_, {}, {threads})) << threads;
  }
}

TEST_F(FlatRamFile, FindsASingleChangedByteInDataAndInHoles) {
  const ByteVector memory = sparse_memory();
  write({memory, false});
  auto file = File::open_for_writing(dir_.file("ram"));
  ASSERT_TRUE(file);
  for (const std::uint64_t at :
       {std::uint64_t{5}, 5 * kExtent + 100, 9 * kExtent, std::uint64_t{memory.size() - 1}}) {
    const std::byte wrong = memory[at] ^ std::byte{0x10};
    ASSERT_TRUE(file->write_at(chunk_.body_offset() + at, {&wrong, 1}));
    const auto mapping = segment_->map();
    ASSERT_TRUE(mapping);
    for (const ByteView& view : {ByteView(mapping->bytes()), ByteView()}) {
      const auto refused = verify_segment(*segment_, view, {2});
      ASSERT_FALSE(refused) << at;
      EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
      EXPECT_EQ(refused.error().offset(), chunk_.body_offset() + at / kExtent * kExtent);
      EXPECT_EQ(refused.error().chunk(), "RAMF#3");
    }
    SegmentCursor cursor;
    const auto extent = segment_->verify_extent(at / kExtent, cursor);
    ASSERT_FALSE(extent);
    EXPECT_EQ(extent.error().kind(), ErrorKind::kCorrupt);
    EXPECT_TRUE(segment_->verify_extent((at / kExtent + 2) % meta_.leaves.size(), cursor));
    ASSERT_TRUE(file->write_at(chunk_.body_offset() + at, {&memory[at], 1}));
  }
  EXPECT_TRUE(verify_segment(*segment_, {}));
}

TEST_F(FlatRamFile, RefusesToMapAFileThatBecameShorter) {
  const ByteVector memory = sparse_memory();
  write({memory, false});
  auto file = File::open_for_writing(dir_.file("ram"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->truncate(chunk_.body_end() - 1));
  const auto mapping = segment_->map();
  ASSERT_FALSE(mapping);
  EXPECT_EQ(mapping.error().kind(), ErrorKind::kTruncated);
}

TEST(FlatRamWriter, PagesGoToTheFileFromWhereTheyAreInGuestMemory) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const test::RandomMemory memory(seed);
    for (const unsigned threads : {1u, 2u}) {
      for (const ByteVector& segment : memory.segments()) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << threads << " threads");
        test::RamFile file;
        MemorySource source({segment, false});
        const CopyCounter counter(segment);
        const auto written = write_flat_ram(file.writer(), 1, 0, source, {threads});
        ASSERT_TRUE(written);
        EXPECT_EQ(counter.from_guest(), written->stored_bytes);
        const std::uint64_t rest = counter.from_elsewhere();
        file.finish();
        // A header and a meta, too small to hide pages.
        const ChunkRecord& chunk = *file.ram_chunks().front();
        EXPECT_EQ(rest, chunk.meta_end() - chunk.offset);
        EXPECT_LT(rest, kPageSize);
      }
    }
  }
}

TEST(FlatRamWriter, RefusesMemoryThatIsNotWholePages) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = ChunkWriter::begin(sink, {});
  ASSERT_TRUE(writer);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4097}}) {
    const ByteVector memory(size);
    const auto refused = write_flat_ram(*writer, 1, 0, {memory, false});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  }
}

TEST(FlatRamMeta, ExtentsGrowOnlyWhenTheLeavesWouldBeTooMany) {
  EXPECT_EQ(choose_extent_shift(4096).value(), 18);
  EXPECT_EQ(choose_extent_shift(std::uint64_t{128} << 30).value(), 18);
  EXPECT_EQ(choose_extent_shift((std::uint64_t{128} << 30) + 4096).value(), 19);
  EXPECT_EQ(choose_extent_shift(std::uint64_t{1} << 49).value(), 30);
  const auto refused = choose_extent_shift((std::uint64_t{1} << 49) + 4096);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(FlatRamMeta, ItsSizeDependsOnTheNumberOfLeavesAlone) {
  const FlatRamMeta zeros{0, 0, 0, {0, 0, 0}};
  const FlatRamMeta full{7, 20, 12345 * 4096, {1, 2, 3}};
  EXPECT_EQ(encode(zeros).size(), encode(full).size());
}

TEST(FlatRamMeta, ComesBackAsItWasWritten) {
  const FlatRamMeta meta{7, 20, 8192, {1, 2, ~std::uint64_t{0}}};
  const auto decoded = decode_flat_ram(encode(meta), (2u << 20) + 4096);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, meta);
}

TEST(FlatRamMeta, RefusesLeavesAndSizesThatDoNotFitTheSegment) {
  const auto expect_refusal = [](const FlatRamMeta& meta, std::uint64_t size, const std::string& field) {
    const auto refused = decode_flat_ram(encode(meta), size);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(refused.error().field(), field);
  };
  expect_refusal({0, 17, 0, {1}}, 4096, "extent_shift");
  expect_refusal({0, 31, 0, {1}}, 4096, "extent_shift");
  expect_refusal({0, 18, 0, {1, 2}}, 4096, "leaves");
  expect_refusal({0, 18, 0, {}}, 4096, "leaves");
  expect_refusal({0, 18, 8192, {1}}, 4096, "data_bytes");
  expect_refusal({0, 18, 1, {1}}, 4096, "data_bytes");
}

TEST(FlatRamMeta, RefusesBytesThatAreNoFlatBufferOfItsType) {
  ByteVector bytes = encode(FlatRamMeta{0, 18, 0, {1}});
  EXPECT_FALSE(decode_flat_ram({}, 4096));
  EXPECT_FALSE(decode_flat_ram(ByteView(bytes).first(11), 4096));
  bytes[4] = std::byte{'X'};
  const auto refused = decode_flat_ram(bytes, 4096);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("not a FlatBuffer of the chunk's type"));
}

}  // namespace
}  // namespace vmsnap
