// SPDX-License-Identifier: BSD-2-Clause
#include "format/chunk_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kSeed = 0x1122334455667788;
constexpr std::uint64_t kOffset = 4096;

ChunkHeader sample() {
  ChunkHeader header;
  header.type = FourCc("UART");
  header.flags = kChunkCritical | kChunkSafeToCopy;
  header.sequence = 17;
  header.schema_id = 3;
  header.instance = 2;
  header.meta_size = 100;
  header.gap = 28;
  header.body_size = 4096;
  header.meta_hash = 0xAAAA;
  header.body_hash = 0xBBBB;
  return header;
}

Error refused(const ChunkHeader& header) {
  const auto decoded = decode_chunk_header(encode(header, kSeed, kOffset), kSeed, kOffset);
  EXPECT_FALSE(decoded);
  return decoded ? Error(ErrorKind::kInternal, "accepted") : decoded.error();
}

TEST(ChunkHeader, StandsAtTheOffsetsThatTheFormatStates) {
  const EncodedChunkHeader bytes = encode(sample(), kSeed, kOffset);
  EXPECT_EQ(std::memcmp(bytes.data(), "CHNKUART", 8), 0);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 8), 3u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 12), 17u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 16), 3u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 20), 2u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 24), 100u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 28), 28u);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 32), 4096u);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 40), 0xAAAAu);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 48), 0xBBBBu);
  ByteVector covered(8 + 56);
  store_le(MutableByteView(covered), 0, kOffset);
  std::memcpy(covered.data() + 8, bytes.data(), 56);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 56), xxh3_64(covered, kSeed));
}

TEST(ChunkHeader, ComesBackAsItWasWritten) {
  const auto decoded = decode_chunk_header(encode(sample(), kSeed, kOffset), kSeed, kOffset);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, sample());
}

TEST(ChunkHeader, RefusesEverySingleFlippedBit) {
  const EncodedChunkHeader good = encode(sample(), kSeed, kOffset);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    EncodedChunkHeader bad = good;
    bad[bit / 8] ^= std::byte(1 << (bit % 8));
    const auto decoded = decode_chunk_header(bad, kSeed, kOffset);
    ASSERT_FALSE(decoded) << "bit " << bit;
    ASSERT_EQ(decoded.error().kind(), ErrorKind::kCorrupt);
    ASSERT_EQ(decoded.error().offset(), kOffset);
  }
}

TEST(ChunkHeader, DoesNotVerifyAtAnotherPlaceOrInAnotherFile) {
  const EncodedChunkHeader bytes = encode(sample(), kSeed, kOffset);
  EXPECT_FALSE(decode_chunk_header(bytes, kSeed, kOffset + 64));
  EXPECT_FALSE(decode_chunk_header(bytes, kSeed + 1, kOffset));
}

TEST(ChunkHeader, RefusesAMetaAboveTheLimit) {
  ChunkHeader header = sample();
  header.meta_size = kMaxMetaSize;
  EXPECT_TRUE(decode_chunk_header(encode(header, kSeed, kOffset), kSeed, kOffset));
  header.meta_size = kMaxMetaSize + 1;
  EXPECT_THAT(refused(header).message(), HasSubstr("16 MiB"));
}

TEST(ChunkHeader, RefusesTypesThatAreNotPrintable) {
  ChunkHeader header = sample();
  header.type = FourCc(0x01020304);
  const Error error = refused(header);
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(error.message(), HasSubstr("printable"));
}

TEST(ChunkHeader, OnlySchemaChunksHaveSchemaIdZero) {
  ChunkHeader header = sample();
  header.schema_id = 0;
  EXPECT_EQ(refused(header).kind(), ErrorKind::kCorrupt);
  header = sample();
  header.type = kChunkSchema;
  EXPECT_EQ(refused(header).kind(), ErrorKind::kCorrupt);
}

TEST(ChunkHeader, WithoutABodyThereIsNoGapNoLeavesAndTheHashOfNothing) {
  ChunkHeader header = sample();
  header.body_size = 0;
  header.gap = 0;
  header.body_hash = xxh3_64({});
  EXPECT_TRUE(decode_chunk_header(encode(header, kSeed, kOffset), kSeed, kOffset));
  header.gap = 28;
  EXPECT_EQ(refused(header).kind(), ErrorKind::kCorrupt);
  header.gap = 0;
  header.flags |= kChunkLeaves;
  EXPECT_EQ(refused(header).kind(), ErrorKind::kCorrupt);
  header.flags = kChunkCritical;
  header.body_hash = 0;
  EXPECT_EQ(refused(header).kind(), ErrorKind::kCorrupt);
}

TEST(ChunkHeader, UnknownFlagsAndCodecsAreUnsupportedNotCorrupt) {
  for (const std::uint32_t flag : {1u << 3, 1u << 7, 1u << 8, 1u << 15, 1u << 16, 1u << 31}) {
    ChunkHeader header = sample();
    header.flags |= flag;
    const auto decoded = decode_chunk_header(encode(header, kSeed, kOffset), kSeed, kOffset);
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    const auto error = unsupported_flags(*decoded);
    ASSERT_TRUE(error) << flag;
    EXPECT_EQ(error->kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(error->chunk(), "UART#17");
  }
  EXPECT_FALSE(unsupported_flags(sample()));
}

TEST(ChunkHeader, EndIsPaddedToTheNextHeaderAndNeverBeyondWhatAFileCanHold) {
  ChunkHeader header = sample();
  header.meta_size = 1;
  header.gap = 0;
  header.body_size = 0;
  EXPECT_EQ(chunk_end(header, 128), 256u);
  header.meta_size = 64;
  EXPECT_EQ(chunk_end(header, 128), 256u);
  for (const std::uint64_t size :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 128 - 128 - 10, std::uint64_t{1} << 63}) {
    header.body_size = size;
    EXPECT_FALSE(chunk_end(header, 128)) << size;
  }
  const std::uint64_t last = (std::uint64_t{1} << 63) - 64;
  header.body_size = last - 256;
  EXPECT_EQ(chunk_end(header, 128), last);
  header.body_size = last - 255;
  EXPECT_FALSE(chunk_end(header, 128));
}

}  // namespace
}  // namespace vmsnap
