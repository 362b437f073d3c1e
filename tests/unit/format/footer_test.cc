// SPDX-License-Identifier: BSD-2-Clause
#include "format/footer.h"

#include <gtest/gtest.h>

namespace vmsnap {
namespace {

Footer sample() {
  Footer footer;
  for (std::size_t i = 0; i < 16; ++i) footer.root.bytes[i] = std::byte(0xf0 + i);
  footer.index_offset = 0x1234500;
  footer.file_size = 0x1240000;
  footer.chunk_count = 42;
  return footer;
}

TEST(Footer, StandsAtTheOffsetsThatTheFormatStatesAndComesBack) {
  const EncodedFooter bytes = encode(sample(), 99);
  const std::uint8_t magic[] = {0x8F, 0x56, 0x4D, 0x45, 0x0D, 0x0A, 0x1A, 0x0A};
  EXPECT_EQ(std::memcmp(bytes.data(), magic, 8), 0);
  EXPECT_EQ(load_le<std::uint8_t>(bytes, 8), 0xf0);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 24), 0x1234500u);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 32), 0x1240000u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 40), 42u);
  EXPECT_EQ(load_le<std::uint64_t>(bytes, 56), xxh3_64(ByteView(bytes).first(56), 99));
  const auto decoded = decode_footer(bytes, 99);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, sample());
}

TEST(Footer, RefusesEverySingleFlippedBitAndTheSeedOfAnotherFile) {
  const EncodedFooter good = encode(sample(), 99);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    EncodedFooter bad = good;
    bad[bit / 8] ^= std::byte(1 << (bit % 8));
    const auto decoded = decode_footer(bad, 99);
    ASSERT_FALSE(decoded) << "bit " << bit;
    ASSERT_EQ(decoded.error().kind(), ErrorKind::kCorrupt);
  }
  EXPECT_FALSE(decode_footer(good, 98));
}

TEST(Footer, RefusesReservedBytesThatAreNotZero) {
  for (const std::size_t at : {std::size_t{44}, std::size_t{55}}) {
    EncodedFooter bad = encode(sample(), 99);
    bad[at] = std::byte{1};
    store_le(MutableByteView(bad), 56, xxh3_64(ByteView(bad).first(56), 99));
    EXPECT_FALSE(decode_footer(bad, 99));
  }
}

}  // namespace
}  // namespace vmsnap
