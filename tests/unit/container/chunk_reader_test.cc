// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/index.h"
#include "format/digest.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"

namespace vmsnap {
namespace {

using test::RawSnapshot;
using ::testing::HasSubstr;

const FourCc kThing("THNG");

Result<ChunkReader> open(ByteView bytes) {
  return ChunkReader::open(test::memory_file(bytes));
}

/// A file whose chunks have the framing right, whatever their content.
RawSnapshot sample() {
  test::SmallSnapshotOptions options;
  options.large_segment = false;
  return RawSnapshot::parse(test::SmallSnapshot(options).bytes());
}

void expect_refusal(ByteView bytes, ErrorKind kind, const std::string& fragment) {
  const auto reader = open(bytes);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind(), kind) << reader.error().to_string();
  EXPECT_THAT(reader.error().to_string(), HasSubstr(fragment));
  EXPECT_EQ(reader.error().file(), "memory");
}

TEST(ChunkReader, FindsWhatTheWriterWrote) {
  const RawSnapshot raw = sample();
  const auto reader = open(raw.bytes());
  ASSERT_TRUE(reader) << reader.error().to_string();
  ASSERT_EQ(reader->chunks().size(), raw.chunks.size() + 2);
  for (std::size_t i = 0; i < raw.chunks.size(); ++i) {
    const ChunkRecord& chunk = reader->chunks()[i];
    EXPECT_EQ(chunk.header.type, raw.chunks[i].spec.type);
    EXPECT_EQ(chunk.header.sequence, i);
    EXPECT_EQ(chunk.offset % 64, 0u);
    const auto meta = reader->meta(chunk);
    ASSERT_TRUE(meta);
    EXPECT_EQ(*meta, raw.chunks[i].meta);
    EXPECT_TRUE(reader->check_padding(chunk));
    if (!chunk.header.has_leaves()) {
      const auto body = reader->body(chunk, 1 << 20);
      ASSERT_TRUE(body);
      EXPECT_EQ(*body, raw.chunks[i].body);
      EXPECT_TRUE(reader->check_body(chunk));
    }
  }
  EXPECT_TRUE(reader->check_metas());
}

TEST(ChunkReader, IndexEqualsTheWalk) {
  const ByteVector bytes = sample().bytes();
  const auto reader = open(bytes);
  ASSERT_TRUE(reader);
  const auto index_meta = reader->meta(reader->chunks().back());
  ASSERT_TRUE(index_meta);
  const auto lines = decode_index(*index_meta);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size() + 1, reader->chunks().size());
  std::uint64_t offset = reader->header().encoded_size();
  for (std::size_t i = 0; i < lines->size(); ++i) {
    const ChunkRecord& chunk = reader->chunks()[i];
    const IndexLine& line = (*lines)[i];
    EXPECT_EQ(line.offset, offset);
    EXPECT_EQ(line.size, chunk.end - chunk.offset);
    EXPECT_EQ(line.type, chunk.header.type);
    EXPECT_EQ(line.instance, chunk.header.instance);
    EXPECT_EQ(line.schema_id, chunk.header.schema_id);
    EXPECT_EQ(line.flags, chunk.header.flags);
    EXPECT_EQ(line.digest, xxh3_128(ByteView(bytes).subspan(chunk.offset, 64 + chunk.header.meta_size)));
    offset += line.size;
  }
  EXPECT_EQ(offset, reader->chunks().back().offset);
}

TEST(ChunkReader, AlignsRamBodiesAsTheHeaderSays) {
  RawSnapshot raw = sample();
  raw.header.body_align_shift = 16;
  const auto reader = open(raw.bytes());
  ASSERT_TRUE(reader) << reader.error().to_string();
  int seen = 0;
  for (const ChunkRecord& chunk : reader->chunks()) {
    if (chunk.header.type != kChunkFlatRam) continue;
    EXPECT_EQ(chunk.body_offset() % (1u << 16), 0u);
    ++seen;
  }
  EXPECT_EQ(seen, 2);
}

TEST(ChunkReader, BytesAfterTheFooterAreCorruptNotTruncated) {
  ByteVector bytes = sample().bytes();
  bytes.push_back(std::byte{0});
  expect_refusal(bytes, ErrorKind::kCorrupt, "1 bytes follow the end");
  bytes.resize(bytes.size() + 64);
  expect_refusal(bytes, ErrorKind::kCorrupt, "65 bytes follow the end");
}

TEST(ChunkReader, AMissingFooterIsTruncatedAndADamagedOneCorrupt) {
  ByteVector bytes = sample().bytes();
  bytes[bytes.size() - 10] ^= std::byte{4};
  expect_refusal(bytes, ErrorKind::kCorrupt, "hash of the footer");
  bytes.resize(bytes.size() - 64);
  expect_refusal(bytes, ErrorKind::kTruncated, "before its footer");
}

TEST(ChunkReader, AFooterThatDisagreesWithTheWalkIsCorrupt) {
  const ByteVector good = sample().bytes();
  for (const std::size_t field : {std::size_t{24}, std::size_t{32}, std::size_t{40}}) {
    ByteVector bad = good;
    bad[bad.size() - 64 + field] ^= std::byte{1};
    test::reseal(bad);
    expect_refusal(bad, ErrorKind::kCorrupt, "footer and the chunks differ");
  }
}

TEST(ChunkReader, ADamagedHeaderSizeDoesNotLookLikeAShortFile) {
  ByteVector bytes = sample().bytes();
  bytes.resize(4096);
  store_le<std::uint32_t>(MutableByteView(bytes), 12, 8192);
  expect_refusal(bytes, ErrorKind::kCorrupt, "size of the header is wrong");
  store_le<std::uint16_t>(MutableByteView(bytes), 56, (8192 - 128) / 64);
  expect_refusal(bytes, ErrorKind::kTruncated, "inside its header");
}

TEST(ChunkReader, ReadsAFileWithUnknownCompatibleFeatures) {
  RawSnapshot raw = sample();
  raw.header.features = {{FeatureKind::kCompatible, 40, "scents"}};
  const auto reader = open(raw.bytes());
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(reader->header().features, raw.header.features);
}

TEST(ChunkReader, UnknownFlagsAndCodecsAreUnsupportedAndNameTheChunk) {
  for (const std::uint32_t flag : {1u << 5, 1u << 8, 1u << 30}) {
    ByteVector bytes = sample().bytes();
    const auto reader = open(bytes);
    ASSERT_TRUE(reader);
    const ChunkRecord& uart = reader->chunks()[reader->chunks().size() - 3];
    // The index repeats the flags: both places, then the hashes.
    store_le<std::uint32_t>(MutableByteView(bytes), uart.offset + 8, uart.header.flags | flag);
    const ChunkRecord& index = reader->chunks().back();
    const std::uint64_t last_line = index.meta_end() - 48;
    const std::uint64_t line = last_line - 48;
    ASSERT_EQ(load_le<std::uint64_t>(ByteView(bytes), line), uart.offset);
    store_le<std::uint32_t>(MutableByteView(bytes), line + 44, uart.header.flags | flag);
    test::reseal(bytes);
    expect_refusal(bytes, ErrorKind::kUnsupported, uart.name());
  }
}

TEST(ChunkReader, AnIndexThatDisagreesWithTheWalkIsCorrupt) {
  const ByteVector good = sample().bytes();
  const auto reader = open(good);
  ASSERT_TRUE(reader);
  const ChunkRecord& index = reader->chunks().back();
  for (const std::size_t field : {0, 8, 32, 36, 40, 44}) {
    ByteVector bad = good;
    bad[index.meta_end() - 48 + field] ^= std::byte{64};
    test::reseal(bad);
    expect_refusal(bad, ErrorKind::kCorrupt, "the index disagrees");
  }
}

TEST(ChunkReader, ADigestOrRootThatDisagreesIsFoundByReadingTheMetas) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  // The digest of the second chunk in the index; the index's own hashes are made right again.
  const ChunkRecord& index = sound->chunks().back();
  ByteVector bad = good;
  const std::size_t lines = sound->chunks().size() - 1;
  bad[index.meta_end() - 48 * (lines - 1) + 16] ^= std::byte{1};
  const MutableByteView header = MutableByteView(bad).subspan(index.offset, 64);
  ChunkHeader fields = index.header;
  fields.meta_hash = xxh3_64(ByteView(bad).subspan(index.meta_offset(), index.header.meta_size));
  const EncodedChunkHeader encoded = encode(fields, sound->header().hash_seed(), index.offset);
  std::copy(encoded.begin(), encoded.end(), header.begin());
  const auto reader = open(bad);
  ASSERT_TRUE(reader) << reader.error().to_string();
  const auto checked = reader->check_metas();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(checked.error().message(), HasSubstr("digest"));
}

TEST(ChunkReader, RefusesChunksInAWrongOrder) {
  const auto refused_after = [](auto&& change, const std::string& fragment) {
    RawSnapshot raw = sample();
    change(raw);
    expect_refusal(raw.bytes(), ErrorKind::kCorrupt, fragment);
  };
  const auto position = [](const RawSnapshot& raw, FourCc type) {
    std::size_t i = 0;
    while (raw.chunks[i].spec.type != type) ++i;
    return static_cast<std::ptrdiff_t>(i);
  };
  refused_after(
      [&](RawSnapshot& raw) { raw.chunks.erase(raw.chunks.begin() + position(raw, kChunkManifest)); },
      "CONF must be the first");
  refused_after(
      [&](RawSnapshot& raw) { raw.chunks.erase(raw.chunks.begin() + position(raw, kChunkMemoryMap)); },
      "MEMM must follow CONF");
  refused_after([&](RawSnapshot& raw) { raw.chunks.push_back(raw.find(kChunkManifest)); },
                "CONF must be the first");
  refused_after([&](RawSnapshot& raw) { raw.chunks.push_back(raw.find(kChunkMemoryMap)); },
                "MEMM must follow CONF");
  refused_after([&](RawSnapshot& raw) { raw.chunks.push_back(raw.chunks.front()); }, "used twice");
  refused_after([&](RawSnapshot& raw) { raw.find(kChunkManifest).spec.schema_id = 99; },
                "no SCHM chunk before it");
  refused_after(
      [&](RawSnapshot& raw) {
        std::rotate(raw.chunks.begin(), raw.chunks.begin() + 1,
                    raw.chunks.begin() + position(raw, kChunkMemoryMap) + 1);
        raw.chunks.front().spec.instance = 0;
      },
      "0 or used twice");
  refused_after([&](RawSnapshot& raw) { raw.find(kChunkManifest).body.resize(10); }, "has no body");
  refused_after([&](RawSnapshot& raw) { raw.find(kChunkSchema).body.clear(); }, "has a body");
  refused_after([&](RawSnapshot& raw) { raw.find(kChunkSchema).body.resize((1 << 20) + 1); }, "1 MiB");
  refused_after([&](RawSnapshot& raw) { raw.find(kChunkFlatRam).spec.flags = kChunkCritical; }, "leaves");
  refused_after([&](RawSnapshot& raw) { raw.end_schema_id = 0xFFFF; }, "no SCHM chunk before it");
}

TEST(ChunkReader, RefusesChunksOfTheContainerThatAreNotCritical) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  for (const FourCc type :
       {kChunkSchema, kChunkManifest, kChunkMemoryMap, kChunkFlatRam, kChunkEnd, kChunkIndex}) {
    const ChunkRecord& chunk = *sound->find(type);
    ByteVector bytes = good;
    store_le(MutableByteView(bytes), chunk.offset + 8, chunk.header.flags & ~std::uint32_t{kChunkCritical});
    test::reseal(bytes);
    expect_refusal(bytes, ErrorKind::kCorrupt, chunk.name() + ": a chunk of this type has the flag CRITICAL");
  }
}

TEST(ChunkReader, AcceptsChunksOfTheContainerThatAreSafeToCopy) {
  RawSnapshot raw = sample();
  for (test::RawChunk& chunk : raw.chunks) chunk.spec.flags |= kChunkSafeToCopy;
  const auto reader = open(raw.bytes());
  EXPECT_TRUE(reader) << reader.error().to_string();
}

TEST(ChunkReader, RefusesAnInstanceOfWhatThereIsOnlyOneOf) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  for (const FourCc type : {kChunkManifest, kChunkMemoryMap, kChunkEnd, kChunkIndex}) {
    const ChunkRecord& chunk = *sound->find(type);
    ByteVector bytes = good;
    store_le<std::uint32_t>(MutableByteView(bytes), chunk.offset + 20, 3);
    test::reseal(bytes);
    expect_refusal(bytes, ErrorKind::kCorrupt,
                   chunk.name() + ": a chunk of this type has instance 0, this one 3");
  }
}

TEST(ChunkReader, AChunkThatNoFileCanHoldIsCorruptAndNotTruncated) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  const ChunkRecord& chunk = sound->chunks().front();
  for (const std::uint64_t size :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 64}) {
    ChunkHeader header = chunk.header;
    header.body_size = size;
    ByteVector bytes = good;
    const EncodedChunkHeader encoded = encode(header, sound->header().hash_seed(), chunk.offset);
    std::copy(encoded.begin(), encoded.end(), bytes.begin() + static_cast<std::ptrdiff_t>(chunk.offset));
    expect_refusal(bytes, ErrorKind::kCorrupt, "beyond any file");
  }
}

TEST(ChunkReader, RefusesASequenceWithAHole) {
  ByteVector bytes = sample().bytes();
  const auto reader = open(bytes);
  ASSERT_TRUE(reader);
  store_le<std::uint32_t>(MutableByteView(bytes), reader->chunks()[3].offset + 12, 4);
  test::reseal(bytes);
  expect_refusal(bytes, ErrorKind::kCorrupt, "sequence number 4 in place 3");
}

TEST(ChunkReader, RefusesAChunkFromAnotherPlaceOrAnotherSnapshot) {
  RawSnapshot raw = sample();
  const std::uint32_t schema = raw.add_schema(kThing, "thing");
  for (int i = 0; i < 2; ++i)
    raw.chunks.push_back({{kThing, schema, 0, kChunkCritical}, ByteVector(100, std::byte(i)), {}, 0});
  const ByteVector good = raw.bytes();
  const auto reader = open(good);
  ASSERT_TRUE(reader) << reader.error().to_string();
  const std::size_t count = reader->chunks().size();
  const ChunkRecord& first = reader->chunks()[count - 4];
  const ChunkRecord& second = reader->chunks()[count - 3];
  ASSERT_EQ(first.end - first.offset, second.end - second.offset);

  ByteVector moved = good;
  std::copy(good.begin() + first.offset, good.begin() + first.end, moved.begin() + second.offset);
  expect_refusal(moved, ErrorKind::kCorrupt, "belongs elsewhere");

  raw.header.uuid.bytes[3] ^= std::byte{1};
  const ByteVector other = raw.bytes();
  ByteVector mixed = good;
  std::copy(other.begin() + second.offset, other.begin() + second.end, mixed.begin() + second.offset);
  expect_refusal(mixed, ErrorKind::kCorrupt, "belongs elsewhere");
}

TEST(ChunkReader, ReportsPaddingAndGapsThatAreNotZero) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  int checked = 0;
  for (const ChunkRecord& chunk : sound->chunks()) {
    for (const auto& [begin, end] :
         {std::pair(chunk.meta_end(), chunk.body_offset()), std::pair(chunk.body_end(), chunk.end)}) {
      if (begin == end) continue;
      ByteVector bad = good;
      bad[end - 1] = std::byte{1};
      const auto reader = open(bad);
      ASSERT_TRUE(reader);
      const auto refused = reader->check_padding(chunk);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
      EXPECT_EQ(refused.error().offset(), end - 1);
      EXPECT_EQ(refused.error().chunk(), chunk.name());
      ++checked;
    }
  }
  EXPECT_GT(checked, 10);
}

TEST(ChunkReader, KeepsTheWalkOfADamagedFileForWhoeverSavesTheRest) {
  const ByteVector good = sample().bytes();
  const auto sound = open(good);
  ASSERT_TRUE(sound);
  ByteVector bad = good;
  bad[sound->chunks()[5].offset + 20] ^= std::byte{1};
  const ChunkWalk walk = walk_chunks(test::memory_file(bad), bad.size(), sound->header());
  ASSERT_TRUE(walk.stopped);
  EXPECT_EQ(walk.stopped->kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(walk.chunks.size(), 5u);
  EXPECT_EQ(walk.end, sound->chunks()[5].offset);
}

TEST(ChunkReader, DoesNotReadBodiesAboveTheLimitOfTheCaller) {
  const auto reader = open(sample().bytes());
  ASSERT_TRUE(reader);
  const auto body = reader->body(reader->chunks()[0], 10);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().kind(), ErrorKind::kLimitExceeded);
}

}  // namespace
}  // namespace vmsnap
