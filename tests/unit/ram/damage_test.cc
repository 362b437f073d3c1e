// SPDX-License-Identifier: BSD-2-Clause
// Whoever restores damaged memory is told which bytes of which segment are wrong, and where in the file.
#include "ram/damage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "format/constants.h"
#include "ram/flat_ram_writer.h"
#include "ram/lazy_memory.h"
#include "ram/ram_loader.h"
#include "ram_file.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kExtent = 256u << 10;
constexpr std::uint64_t kSize = 4 * kExtent;
constexpr std::uint32_t kSegment = 3;

/// An extent of noise, one of zeros, one that compresses, one of noise.
ByteVector mixed_memory() {
  ByteVector memory(kSize);
  std::mt19937_64 random(7);
  for (const std::uint64_t extent : {0, 3}) {
    for (std::uint64_t at = 0; at < kExtent; at += 8)
      store_le<std::uint64_t>(MutableByteView(memory), extent * kExtent + at, random());
  }
  for (std::uint64_t at = 0; at < kExtent; ++at) memory[2 * kExtent + at] = static_cast<std::byte>(at % 251);
  return memory;
}

enum class Encoding { kFlat, kRaw, kLz4 };
constexpr std::array kEncodings = {Encoding::kFlat, Encoding::kRaw, Encoding::kLz4};

/// A file with mixed_memory() as segment 3.
class DamagedFile {
 public:
  explicit DamagedFile(Encoding encoding) : memory_(mixed_memory()) {
    MemorySource source({memory_, false});
    const Codec codec = encoding == Encoding::kLz4 ? Codec::kLz4 : Codec::kNone;
    const auto written = encoding == Encoding::kFlat
                             ? write_flat_ram(file_.writer(), 1, kSegment, source)
                             : write_extent_ram(file_.writer(), 1, kSegment, source, codec);
    EXPECT_TRUE(written);
    file_.finish();
  }

  /// Where the first bytes of an extent of noise are.
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t extent) const {
    const ByteVector bytes = test::read_whole(file());
    const auto noise = ByteView(memory_).subspan(extent * kExtent, 64);
    const auto found = std::search(bytes.begin(), bytes.end(), noise.begin(), noise.end());
    EXPECT_NE(found, bytes.end());
    return static_cast<std::uint64_t>(found - bytes.begin());
  }
  void overwrite(std::uint64_t offset, ByteView bytes) const { ASSERT_TRUE(file().write_at(offset, bytes)); }
  [[nodiscard]] SegmentReader segment() const {
    auto segment = file_.segment(kSize, kSegment);
    EXPECT_TRUE(segment) << segment.error().to_string();
    return std::move(*segment);
  }
  [[nodiscard]] const File& file() const { return file_.reader().file(); }
  [[nodiscard]] const ChunkRecord& chunk() const { return *file_.ram_chunks(kSegment).front(); }

 private:
  ByteVector memory_;
  test::RamFile file_;
};

Result<void> restore_mapped(const SegmentReader& segment) {
  VMSNAP_ASSIGN_OR_RETURN(const Mapping mapping, segment.map());
  return verify_segment(segment, mapping.bytes());
}

Result<void> restore_lazily(const SegmentReader& segment) {
  VMSNAP_ASSIGN_OR_RETURN(const Mapping memory, Mapping::anonymous(kSize));
  std::vector<LazySegment> segments;
  segments.push_back({segment, memory.bytes()});
  VMSNAP_ASSIGN_OR_RETURN(const auto lazy, LazyMemory::start(std::move(segments), nullptr, {}));
  return lazy->wait_filled();
}

void expect_named(const Result<void>& restored, std::string_view sentence, std::uint64_t offset) {
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(restored.error().message(), sentence);
  EXPECT_EQ(restored.error().file(), "memory");
  EXPECT_EQ(restored.error().offset(), offset);
  EXPECT_THAT(restored.error().chunk(), HasSubstr("RAM"));
}

/// Restores the segment by each engine that needs no help of the kernel.
void expect_named_by_all(const SegmentReader& segment, std::string_view sentence, std::uint64_t offset) {
  ByteVector memory(kSize);
  {
    SCOPED_TRACE("eager");
    expect_named(load_segment(segment, memory, true), sentence, offset);
  }
  {
    SCOPED_TRACE("check");
    expect_named(verify_segment(segment, {}), sentence, offset);
  }
  if (segment.is_mappable()) {
    SCOPED_TRACE("map");
    expect_named(restore_mapped(segment), sentence, offset);
  }
}

constexpr std::string_view kWrongExtent =
    "262144 bytes of guest memory from 0xc0000 of segment 3 do not match their hash; the file is damaged";
constexpr std::string_view kWrongBlock =
    "a block of the 262144 bytes of guest memory from 0x80000 of segment 3 does not decompress; the file is "
    "damaged";

/// Makes the last extent wrong. Returns where it begins in the file.
std::uint64_t damage_extent(const DamagedFile& file) {
  const std::uint64_t offset = file.offset_of(3);
  file.overwrite(offset + 5000, ByteVector(3, std::byte{0x55}));
  return offset;
}

/// Makes the first block that is compressed wrong. Returns its place in the file.
std::uint64_t damage_block(const DamagedFile& file) {
  const std::uint64_t offset = file.offset_of(0) + kExtent;
  file.overwrite(offset, ByteVector(64, std::byte{0xFF}));
  return offset;
}

TEST(Damage, OfAnExtentIsNamedByItsPlaceInMemoryAndInTheFile) {
  for (const Encoding encoding : kEncodings) {
    SCOPED_TRACE(static_cast<int>(encoding));
    const DamagedFile file(encoding);
    const std::uint64_t offset = damage_extent(file);
    expect_named_by_all(file.segment(), kWrongExtent, offset);
  }
}

TEST(Damage, OfABlockIsNamedByTheExtentThatItBelongsTo) {
  const DamagedFile file(Encoding::kLz4);
  const std::uint64_t offset = damage_block(file);
  expect_named_by_all(file.segment(), kWrongBlock, offset);
}

TEST(Damage, IsNamedTheSameWhenMemoryIsRestoredLazily) {
  if (const auto faults = UserFault::open(); !faults) GTEST_SKIP() << faults.error().to_string();
  for (const Encoding encoding : kEncodings) {
    SCOPED_TRACE(static_cast<int>(encoding));
    const DamagedFile file(encoding);
    const std::uint64_t offset = damage_extent(file);
    expect_named(restore_lazily(file.segment()), kWrongExtent, offset);
  }
  const DamagedFile file(Encoding::kLz4);
  const std::uint64_t offset = damage_block(file);
  expect_named(restore_lazily(file.segment()), kWrongBlock, offset);
}

TEST(Damage, OfAnExtentWithoutDataIsNamedByTheMetaThatDescribesIt) {
  test::RamFile file;
  ExtentRamMeta meta;
  meta.extent_shift = 18;
  meta.leaves = {1};
  meta.runs = {{PageRunKind::kZero, kExtent / kPageSize, 0}};
  ASSERT_TRUE(file.writer().append({kChunkExtentRam, 1}, encode(meta)));
  file.finish();
  const auto segment = file.segment(kExtent);
  ASSERT_TRUE(segment) << segment.error().to_string();
  expect_named(verify_segment(*segment, {}),
               "262144 bytes of guest memory from 0x0 of segment 0 do not match their hash; the file is "
               "damaged",
               file.ram_chunks().front()->meta_offset());
}

TEST(Damage, AFileThatIsCutInAHoleIsTooShortAndNotFullOfZeros) {
  const DamagedFile file(Encoding::kFlat);
  const SegmentReader segment = file.segment();
  const std::uint64_t end = file.chunk().body_offset() + kExtent + 1;
  ASSERT_TRUE(file.file().truncate(end));
  ByteVector memory(kSize);
  for (const bool verify : {true, false}) {
    const auto loaded = load_segment(segment, memory, verify);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind(), ErrorKind::kTruncated);
    EXPECT_EQ(loaded.error().file(), "memory");
    EXPECT_EQ(loaded.error().offset(), end);
  }
}

}  // namespace
}  // namespace vmsnap
