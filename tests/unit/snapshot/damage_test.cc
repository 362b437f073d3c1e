// SPDX-License-Identifier: BSD-2-Clause
// Every cut and every flipped byte of a snapshot is found, and called by its right name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "raw_snapshot.h"
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

/// A small file in each encoding.
struct Sample {
  const char* name;
  ByteVector bytes;
};

std::vector<Sample> samples() {
  const test::SmallSnapshot small({16u << 10, false});
  return {{"flat", small.bytes()},
          {"extents", small.bytes(RamEncoding::kExtents)},
          {"extents, lz4", small.bytes(RamEncoding::kExtents, Codec::kLz4)}};
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
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    expect_every_cut_is_truncated(sample.bytes, 64);
  }
}

TEST(Damage, AFileWithALargeSegmentCutAnywhereIsTruncated) {
  const test::SmallSnapshot source;
  for (const RamEncoding encoding : {RamEncoding::kFlat, RamEncoding::kExtents})
    expect_every_cut_is_truncated(source.bytes(encoding), 4096);
}

void expect_every_flip_is_corrupt(const ByteVector& bytes) {
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
  EXPECT_GT(flips, 5'000u);
  EXPECT_TRUE(patient.open(ReadLevel::kFull));
}

TEST(Damage, EveryFlippedByteIsCorrupt) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    expect_every_flip_is_corrupt(sample.bytes);
  }
}

TEST(Damage, EachFlipIsFoundAtTheLevelThatCoversItsByte) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const Patient patient(sample.bytes);
    const auto sound = patient.open(ReadLevel::kFull);
    ASSERT_TRUE(sound);
    const auto expect_found_at = [&](ReadLevel first, std::uint64_t at) {
      const std::byte flipped = sample.bytes[at] ^ std::byte{0x40};
      ASSERT_TRUE(patient.file().write_at(at, {&flipped, 1}));
      for (const ReadLevel level : {ReadLevel::kHeader, ReadLevel::kMeta, ReadLevel::kFull})
        EXPECT_EQ(patient.open(level).has_value(), level < first) << "byte " << at;
      ASSERT_TRUE(patient.file().write_at(at, {&sample.bytes[at], 1}));
    };
    for (const ChunkRecord& chunk : sound->container().chunks()) {
      const FourCc type = chunk.header.type;
      // What describes the file is read at every level.
      const bool table = is_container_chunk(type) && !is_ram_chunk(type);
      const ReadLevel full = ReadLevel::kFull;
      const std::uint64_t meta_end = chunk.meta_end();
      for (std::uint64_t at = chunk.offset; at < chunk.meta_offset(); at += 7)
        expect_found_at(ReadLevel::kHeader, at);
      for (std::uint64_t at = chunk.meta_offset(); at < meta_end; at += 1 + chunk.header.meta_size / 40)
        expect_found_at(table ? ReadLevel::kHeader : ReadLevel::kMeta, at);
      if (chunk.body_offset() > meta_end) {
        expect_found_at(full, meta_end);
        expect_found_at(full, chunk.body_offset() - 1);
      }
      for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end();
           at += 1 + chunk.header.body_size / 20)
        expect_found_at(type == kChunkSchema ? ReadLevel::kHeader : full, at);
      if (chunk.end > chunk.body_end()) expect_found_at(full, chunk.end - 1);
    }
    expect_found_at(ReadLevel::kHeader, sample.bytes.size() - 64);
  }
}

TEST(Damage, AFlipInRamIsReportedWithItsExtent) {
  for (const RamEncoding encoding : {RamEncoding::kFlat, RamEncoding::kExtents}) {
    const bool flat = encoding == RamEncoding::kFlat;
    const ByteVector bytes = test::SmallSnapshot().bytes(encoding);
    const Patient patient(bytes);
    const auto sound = patient.open(ReadLevel::kMeta);
    ASSERT_TRUE(sound);
    const ChunkRecord& chunk = *sound->segment_chunks(2).front();
    // The second data page of the segment, in its fourth extent.
    const std::uint64_t at = chunk.body_offset() + (flat ? (3u << 18) + 5 * kPageSize : kPageSize) + 100;
    const std::byte flipped = bytes[at] ^ std::byte{1};
    ASSERT_TRUE(patient.file().write_at(at, {&flipped, 1}));
    EXPECT_TRUE(patient.open(ReadLevel::kMeta));
    const auto refused = patient.open(ReadLevel::kFull);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().offset(), chunk.body_offset() + (flat ? 3u << 18 : kPageSize));
    EXPECT_EQ(refused.error().chunk(), chunk.name());
    EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("from 0xc0000 of segment 2"));
  }
}

TEST(Damage, AByteThatIsChangedTogetherWithItsHashesIsNotDamage) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    ByteVector bytes = sample.bytes;
    test::reseal(bytes);
    EXPECT_TRUE(bytes == sample.bytes);
    const auto sound = Patient(bytes).open(ReadLevel::kFull);
    ASSERT_TRUE(sound);
    bytes[sound->segment_chunks(0).front()->body_offset() + 5000] ^= std::byte{1};
    EXPECT_FALSE(Patient(bytes).open(ReadLevel::kFull));
    test::reseal(bytes);
    const auto changed = Patient(bytes).open(ReadLevel::kFull);
    ASSERT_TRUE(changed) << changed.error().to_string();
    EXPECT_NE(changed->root(), sound->root());
  }
}

TEST(Damage, ZerosInPlaceOfALostBlockAreCorrupt) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    for (std::size_t at = 0; at + 4096 <= sample.bytes.size(); at += 4096) {
      ByteVector bad = sample.bytes;
      std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), 4096, std::byte{0});
      if (bad == sample.bytes) continue;
      const auto refused = Patient(bad).open(ReadLevel::kFull);
      ASSERT_FALSE(refused) << at;
      ASSERT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << at << ": " << refused.error().to_string();
    }
  }
}

}  // namespace
}  // namespace vmsnap
