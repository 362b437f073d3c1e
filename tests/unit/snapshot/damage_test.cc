// SPDX-License-Identifier: BSD-2-Clause
// Every cut and every flipped byte of a snapshot is found, and called by its right name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap {
namespace {

/// A file that is damaged and repaired in place; each reader gets a descriptor of its own.
class Patient {
 public:
  explicit Patient(ByteView bytes) : file_(test::memory_file(bytes)) {}

  [[nodiscard]] const File& file() const { return file_; }
  [[nodiscard]] Result<SnapshotReader> open(ReadLevel level) const {
    return SnapshotReader::open(File::adopt(UniqueFd(::dup(file_.fd())), "memory"), {level, false});
  }

 private:
  File file_;
};

test::SmallSnapshot small() {
  return test::SmallSnapshot({16u << 10, false});
}

void expect_every_cut_is_truncated(const ByteVector& bytes, std::size_t step) {
  const Patient patient(bytes);
  std::size_t cuts = 0;
  for (std::size_t size = bytes.size(); size-- > 0;) {
    const std::size_t remainder = size % step;
    if (remainder > 1 && remainder != step - 1) continue;
    ASSERT_TRUE(patient.file().truncate(size));
    const auto refused = patient.open(ReadLevel::kFull);
    ASSERT_FALSE(refused) << "cut to " << size;
    ASSERT_EQ(refused.error().kind(), ErrorKind::kTruncated)
        << "cut to " << size << ": " << refused.error().to_string();
    ++cuts;
  }
  EXPECT_GT(cuts, bytes.size() / step * 2);
}

TEST(Damage, AFileCutAtEvery64BytesOrOneOffIsTruncated) {
  expect_every_cut_is_truncated(small().bytes(), 64);
}

TEST(Damage, AFileWithALargeSegmentCutAnywhereIsTruncated) {
  expect_every_cut_is_truncated(test::SmallSnapshot().bytes(), 4096);
}

TEST(Damage, EveryFlippedByteIsCorrupt) {
  const test::SmallSnapshot source = small();
  const ByteVector bytes = source.bytes();
  const Patient patient(bytes);
  const auto sound = patient.open(ReadLevel::kFull);
  ASSERT_TRUE(sound) << sound.error().to_string();
  std::vector<bool> is_bulk(bytes.size());
  for (const ChunkRecord& chunk : sound->container().chunks()) {
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end(); ++at) is_bulk[at] = true;
  }
  std::size_t flips = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    // Of RAM and schemas a sample does: their hash is one over everything.
    if (is_bulk[at] && at % 61 != 0) continue;
    const std::byte flipped = bytes[at] ^ std::byte(1u << (at % 8));
    ASSERT_TRUE(patient.file().write_at(at, {&flipped, 1}));
    const auto refused = patient.open(ReadLevel::kFull);
    ASSERT_FALSE(refused) << "byte " << at;
    ASSERT_EQ(refused.error().kind(), ErrorKind::kCorrupt)
        << "byte " << at << ": " << refused.error().to_string();
    ASSERT_TRUE(refused.error().offset()) << refused.error().to_string();
    ASSERT_EQ(refused.error().file(), "memory");
    ASSERT_TRUE(patient.file().write_at(at, {&bytes[at], 1}));
    ++flips;
  }
  EXPECT_GT(flips, 9'000u);
  EXPECT_TRUE(patient.open(ReadLevel::kFull));
}

TEST(Damage, AFlipInRamIsReportedWithItsExtent) {
  const ByteVector bytes = test::SmallSnapshot().bytes();
  const Patient patient(bytes);
  const auto sound = patient.open(ReadLevel::kMeta);
  ASSERT_TRUE(sound);
  const ChunkRecord& chunk = *sound->segment_chunks(2).front();
  const std::uint64_t at = chunk.body_offset() + (3u << 18) + 100;
  const std::byte flipped = bytes[at] ^ std::byte{1};
  ASSERT_TRUE(patient.file().write_at(at, {&flipped, 1}));
  EXPECT_TRUE(patient.open(ReadLevel::kMeta));
  const auto refused = patient.open(ReadLevel::kFull);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().offset(), chunk.body_offset() + (3u << 18));
  EXPECT_EQ(refused.error().chunk(), chunk.name());
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("segment 2"));
}

TEST(Damage, ZerosInPlaceOfALostBlockAreCorrupt) {
  const ByteVector bytes = small().bytes();
  for (std::size_t at = 0; at + 4096 <= bytes.size(); at += 4096) {
    ByteVector bad = bytes;
    std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), 4096, std::byte{0});
    if (bad == bytes) continue;
    const auto refused = Patient(bad).open(ReadLevel::kFull);
    ASSERT_FALSE(refused) << at;
    ASSERT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << at << ": " << refused.error().to_string();
  }
}

}  // namespace
}  // namespace vmsnap
