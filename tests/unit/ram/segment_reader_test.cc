// SPDX-License-Identifier: BSD-2-Clause
// What only all chunks of a segment together can get wrong, and what only their bodies can.
#include "ram/segment_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "format/digest.h"
#include "ram/flat_ram_writer.h"
#include "ram/ram_loader.h"
#include "ram_file.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kExtent = 256u << 10;
constexpr std::uint32_t kExtentPages = 64;
constexpr std::uint64_t kSegment = 3 * kExtent;

ByteVector noise(std::size_t size) {
  std::mt19937_64 random(9);
  ByteVector bytes(size);
  for (std::size_t i = 0; i < size; i += 8) store_le<std::uint64_t>(MutableByteView(bytes), i, random() | 1);
  return bytes;
}

/// One RAME chunk as a test wants it.
struct Part {
  ExtentRamMeta meta;
  ByteVector body;
  Codec codec = Codec::kNone;
  std::uint32_t instance = 0;
  std::uint64_t wrong_hash = 0;  // is mixed into the body hash
};

/// The three extents of a segment in a chunk each: data, data, and a repetition of the first.
std::vector<Part> parts() {
  const ByteVector memory = noise(2 * kExtent);
  const auto leaf = [&](std::size_t extent) {
    return xxh3_64(ByteView(memory).subspan(extent * kExtent, kExtent));
  };
  const auto body = [&](std::size_t extent) {
    const auto begin = memory.begin() + static_cast<std::ptrdiff_t>(extent * kExtent);
    return ByteVector(begin, begin + kExtent);
  };
  return {
      {{0, 18, 0, {leaf(0)}, {{PageRunKind::kData, kExtentPages, 0}}, {}}, body(0)},
      {{0, 18, 1, {leaf(1)}, {{PageRunKind::kData, kExtentPages, 0}}, {}}, body(1)},
      {{0, 18, 2, {leaf(0)}, {{PageRunKind::kDuplicate, kExtentPages, 0}}, {}}, {}},
  };
}

void write_part(ChunkWriter& writer, const Part& part) {
  ChunkSpec spec{kChunkExtentRam, 1, part.instance};
  const ByteVector meta = encode(part.meta);
  if (part.body.empty()) {
    ASSERT_TRUE(writer.append(spec, meta));
    return;
  }
  spec.flags |= kChunkLeaves | std::uint32_t{static_cast<std::uint8_t>(part.codec)} << kChunkCodecShift;
  const ByteView body(part.body);
  ASSERT_TRUE(writer.append(spec, meta,
                            ChunkBody{{&body, 1},
                                      part.codec == Codec::kNone ? kPageSize : kChunkAlignment,
                                      leaves_hash(part.meta.leaves) ^ part.wrong_hash}));
}

/// Opens a segment of these chunks; nothing that is wrong with them may be wrong with the container.
Result<SegmentReader> open(test::RamFile& file, const std::vector<Part>& parts,
                           std::uint64_t size = kSegment) {
  for (const Part& part : parts) write_part(file.writer(), part);
  file.finish();
  return file.segment(size);
}

void expect_refused(const std::vector<Part>& parts, const std::string& fragment,
                    const std::string& field = {}, std::uint64_t size = kSegment) {
  SCOPED_TRACE(fragment);
  test::RamFile file;
  const auto refused = open(file, parts, size);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << refused.error().to_string();
  EXPECT_THAT(refused.error().to_string(), HasSubstr(fragment));
  EXPECT_EQ(refused.error().field(), field);
  EXPECT_EQ(refused.error().file(), "memory");
}

TEST(SegmentReader, ReadsASegmentOfManyChunks) {
  test::RamFile file;
  const auto segment = open(file, parts());
  ASSERT_TRUE(segment) << segment.error().to_string();
  EXPECT_EQ(segment->data_bytes(), 2 * kExtent);
  EXPECT_TRUE(verify_segment(*segment, {}));
  const auto mapping = segment->map();
  ASSERT_TRUE(mapping);
  const ByteVector memory = noise(2 * kExtent);
  EXPECT_TRUE(std::ranges::equal(mapping->bytes().first(2 * kExtent), memory));
  EXPECT_TRUE(std::ranges::equal(mapping->bytes().subspan(2 * kExtent), ByteView(memory).first(kExtent)));
}

TEST(SegmentReader, RefusesChunksThatLeaveOutRepeatOrReorderExtents) {
  std::vector<Part> wrong = parts();
  wrong.erase(wrong.begin());
  expect_refused(wrong, "memory segment 0 goes on at 0x40000 and not at 0x0");
  wrong = parts();
  wrong.erase(wrong.begin() + 1);
  expect_refused(wrong, "goes on at 0x80000 and not at 0x40000");
  wrong = parts();
  wrong.pop_back();
  expect_refused(wrong, "memory segment 0 ends at 0x80000 and not at 0xc0000");
  wrong = parts();
  wrong.insert(wrong.begin() + 1, wrong[1]);
  expect_refused(wrong, "goes on at 0x40000 and not at 0x80000");
  wrong = parts();
  std::swap(wrong[0], wrong[1]);
  expect_refused(wrong, "goes on at 0x40000 and not at 0x0");
  wrong = parts();
  wrong.push_back(wrong[2]);
  expect_refused(wrong, "goes on at 0x80000 and not at 0xc0000");
  test::RamFile none;
  none.finish();
  EXPECT_THAT(none.segment(kSegment).error().to_string(), HasSubstr("no chunk holds memory segment 0"));
}

TEST(SegmentReader, RefusesExtentsOfTwoSizesInOneSegment) {
  std::vector<Part> wrong = parts();
  // The third extent of 2^18 bytes as the second of 2^19, which is short.
  wrong[2].meta.extent_shift = 19;
  wrong[2].meta.first_extent = 1;
  expect_refused(wrong, "its extents have 2^19 bytes, those of the segment before it 2^18");
}

TEST(SegmentReader, RefusesToRepeatPagesThatAreNotData) {
  std::vector<Part> wrong = parts();
  wrong[1].meta.runs = {{PageRunKind::kData, 40, 0}, {PageRunKind::kZero, 24, 0}};
  wrong[1].body.resize(40 * kPageSize);
  // The last 40 pages of the first extent and 24 that are data, then 25, one of which is not.
  wrong[2].meta.runs = {{PageRunKind::kDuplicate, kExtentPages, 24 * kPageSize}};
  test::RamFile file;
  const auto sound = open(file, wrong);
  ASSERT_TRUE(sound) << sound.error().to_string();
  wrong[2].meta.runs = {{PageRunKind::kDuplicate, kExtentPages, 41 * kPageSize}};
  expect_refused(wrong, "repeat 262144 bytes from 0x29000, where no data is", "runs.source");
  // A repetition of a repetition.
  wrong = parts();
  wrong[1] = wrong[2];
  wrong[1].meta.first_extent = 1;
  wrong[2].meta.runs = {{PageRunKind::kDuplicate, kExtentPages, kExtent}};
  expect_refused(wrong, "repeat 262144 bytes from 0x40000, where no data is", "runs.source");
}

TEST(SegmentReader, RefusesAMetaThatBelongsElsewhereOrToOtherLeaves) {
  std::vector<Part> wrong = parts();
  wrong[1].meta.segment = 3;
  expect_refused(wrong, "belongs to segment 3, the chunk to segment 0", "segment");
  wrong = parts();
  wrong[0].wrong_hash = 1;
  expect_refused(wrong, "the leaves do not match the body hash", "leaves");
}

TEST(SegmentReader, NamesTheFieldOfAMetaThatIsWrongInItself) {
  std::vector<Part> wrong = parts();
  wrong[1].meta.runs[0].pages = 63;
  expect_refused(wrong, "RAME#4", "runs.pages");
  expect_refused(parts(), "not in a segment of 2 extents", "leaves", 2 * kExtent);
}

TEST(SegmentReader, FindsAWrongByteInEachChunkAndSaysWhere) {
  for (const std::size_t part : {0u, 1u}) {
    std::vector<Part> wrong = parts();
    wrong[part].body[77] ^= std::byte{1};
    test::RamFile file;
    const auto segment = open(file, wrong);
    ASSERT_TRUE(segment);
    const auto refused = verify_segment(*segment, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(refused.error().message(), HasSubstr(part == 0 ? "from 0x0 of" : "from 0x40000 of"));
    EXPECT_EQ(refused.error().offset(), file.ram_chunks()[part]->body_offset());
    ByteVector memory(kSegment);
    EXPECT_FALSE(load_segment(*segment, memory, true));
    EXPECT_TRUE(load_segment(*segment, memory, false));
    // The repetition of a wrong extent is wrong too, that of a right one is not.
    SegmentCursor cursor;
    EXPECT_EQ(segment->verify_extent(2, cursor).has_value(), part == 1);
  }
}

TEST(SegmentReader, FindsAZeroExtentWhoseLeafIsNotThatOfZeros) {
  std::vector<Part> wrong = parts();
  wrong[2].meta.runs = {{PageRunKind::kZero, kExtentPages, 0}};
  test::RamFile file;
  const auto segment = open(file, wrong);
  ASSERT_TRUE(segment);
  SegmentCursor cursor;
  EXPECT_TRUE(segment->is_hole(2, cursor).value());
  const auto refused = verify_segment(*segment, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("from 0x80000 of"));
}

/// A segment of one extent of text, compressed.
test::RamFile& write_compressed(test::RamFile& file, ByteVector& memory) {
  memory.resize(kExtent);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<std::byte>('a' + i / 9 % 23);
  MemorySource source({memory, false});
  EXPECT_TRUE(write_extent_ram(file.writer(), 1, 0, source, Codec::kLz4));
  file.finish();
  return file;
}

TEST(SegmentReader, NeverTakesGarbageForABlock) {
  test::RamFile file;
  ByteVector memory;
  write_compressed(file, memory);
  const auto segment = file.segment(kExtent);
  ASSERT_TRUE(segment);
  const ChunkRecord& chunk = *file.ram_chunks().front();
  const auto size = static_cast<std::size_t>(chunk.header.body_size);
  ByteVector sound(size);
  ASSERT_TRUE(file.reader().file().read_at(chunk.body_offset(), sound));
  std::mt19937_64 random(4);
  std::size_t undecodable = 0;
  ByteVector loaded(kExtent);
  SegmentCursor cursor;
  for (int round = 0; round < 400; ++round) {
    ByteVector garbage = sound;
    switch (round % 4) {
      case 0:  // single bytes
        for (std::size_t i = 0; i <= random() % 8; ++i)
          garbage[random() % size] = static_cast<std::byte>(random());
        break;
      case 1:  // a stretch of anything
        for (std::size_t i = random() % size; i < size; ++i) garbage[i] = static_cast<std::byte>(random());
        break;
      case 2:
        std::fill_n(garbage.begin(), 1 + random() % size, std::byte{0xFF});
        break;
      default:
        std::fill_n(garbage.begin(), 1 + random() % size, std::byte{0});
        break;
    }
    if (garbage == sound) continue;
    ASSERT_TRUE(file.reader().file().write_at(chunk.body_offset(), garbage));
    for (const auto& result : {load_segment(*segment, loaded, true), verify_segment(*segment, {}),
                               segment->verify_extent(0, cursor)}) {
      ASSERT_FALSE(result) << round;
      EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    }
    // A block is decoded where it belongs or not at all, also for a single page of it.
    for (std::uint64_t at = 0; at < kExtent; at += 5 * kPageSize) {
      SegmentCursor fresh;
      ByteVector page(kPageSize);
      if (!segment->read(at, page, false, fresh)) ++undecodable;
    }
  }
  EXPECT_GT(undecodable, 100u);
  ASSERT_TRUE(file.reader().file().write_at(chunk.body_offset(), sound));
  EXPECT_TRUE(load_segment(*segment, loaded, true));
  EXPECT_EQ(loaded, memory);
}

TEST(SegmentReader, DoesNotServeABlockThatFailedFromItsCursor) {
  test::RamFile file;
  ByteVector memory;
  write_compressed(file, memory);
  const auto segment = file.segment(kExtent);
  ASSERT_TRUE(segment);
  const std::uint64_t at = file.ram_chunks().front()->body_offset();
  ByteVector sound(64);
  ASSERT_TRUE(file.reader().file().read_at(at, sound));
  ASSERT_TRUE(file.reader().file().write_at(at, ByteVector(64, std::byte{0xFF})));
  SegmentCursor cursor;
  ByteVector page(kPageSize);
  EXPECT_FALSE(segment->read(kPageSize, page, false, cursor));
  EXPECT_FALSE(segment->read(kPageSize, page, false, cursor));
  ASSERT_TRUE(file.reader().file().write_at(at, sound));
  ASSERT_TRUE(segment->read(kPageSize, page, false, cursor));
  EXPECT_TRUE(std::ranges::equal(page, ByteView(memory).subspan(kPageSize, kPageSize)));
}

TEST(SegmentReader, DoesNotMapWhatIsCompressed) {
  test::RamFile file;
  ByteVector memory;
  write_compressed(file, memory);
  const auto segment = file.segment(kExtent);
  ASSERT_TRUE(segment);
  EXPECT_FALSE(segment->is_mappable());
  EXPECT_EQ(segment->map().error().kind(), ErrorKind::kUsage);
}

TEST(SegmentReader, DoesNotMapWhatIsInMorePiecesThanAProcessMayMap) {
  // Every other page is zero.
  ByteVector memory(130 << 20);
  for (std::size_t at = 0; at < memory.size(); at += 2 * kPageSize) memory[at] = std::byte{1};
  for (const std::size_t size : {std::size_t{60} << 20, memory.size()}) {
    const ByteView part = ByteView(memory).first(size);
    test::RamFile file;
    // Different in each extent, so that none repeats another.
    for (std::size_t i = 0; i < size / kExtent; ++i) store_le(MutableByteView(memory), i * kExtent, i + 1);
    MemorySource source({part, false});
    ASSERT_TRUE(write_extent_ram(file.writer(), 1, 0, source, Codec::kNone));
    file.finish();
    const auto segment = file.segment(size);
    ASSERT_TRUE(segment);
    EXPECT_EQ(segment->is_mappable(), size < memory.size());
    EXPECT_EQ(segment->map().has_value(), size < memory.size());
  }
}

TEST(SegmentReader, ReportsAFileThatBecameShorterWhenItReads) {
  test::RamFile file;
  const auto segment = open(file, parts());
  ASSERT_TRUE(segment);
  ASSERT_TRUE(file.reader().file().truncate(file.ram_chunks()[1]->body_offset() + 100));
  ByteVector memory(kSegment);
  const auto loaded = load_segment(*segment, memory, true);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind(), ErrorKind::kTruncated);
  EXPECT_EQ(segment->map().error().kind(), ErrorKind::kTruncated);
}

TEST(MemoryDigest, DependsOnTheOrderSizeAndContentOfSegmentsAndOnNothingElse) {
  const ByteVector memory = noise(2 * kExtent);
  const auto digest_of = [&](const std::vector<ByteView>& segments, int encoding) {
    test::RamFile file;
    for (std::uint32_t id = 0; id < segments.size(); ++id) {
      MemorySource source({segments[id], false});
      const auto written = encoding == 0 ? write_flat_ram(file.writer(), 1, id, source)
                                         : write_extent_ram(file.writer(), 1, id, source,
                                                            encoding == 1 ? Codec::kNone : Codec::kLz4);
      EXPECT_TRUE(written);
    }
    file.finish();
    std::vector<SegmentReader> readers;
    for (std::uint32_t id = 0; id < segments.size(); ++id)
      readers.push_back(file.segment(segments[id].size(), id).value());
    return memory_digest(readers);
  };
  const ByteView all(memory);
  const Digest128 digest = digest_of({all, all.first(kPageSize)}, 0);
  EXPECT_EQ(digest_of({all, all.first(kPageSize)}, 1), digest);
  EXPECT_EQ(digest_of({all, all.first(kPageSize)}, 2), digest);
  EXPECT_NE(digest_of({all.first(kPageSize), all}, 0), digest);
  EXPECT_NE(digest_of({all, all.first(2 * kPageSize)}, 0), digest);
  EXPECT_NE(digest_of({all.first(kExtent), all.subspan(kExtent), all.first(kPageSize)}, 0), digest);
  EXPECT_NE(digest_of({all}, 0), digest);
}

}  // namespace
}  // namespace vmsnap
