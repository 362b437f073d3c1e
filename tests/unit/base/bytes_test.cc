// SPDX-License-Identifier: BSD-2-Clause
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace vmsnap {
namespace {

TEST(Bytes, AllZeroIsSeenForEveryLengthAroundTheWordAndHeadSizes) {
  for (std::size_t size = 0; size <= 300; ++size) EXPECT_TRUE(is_all_zero(ByteVector(size))) << size;
}

TEST(Bytes, ASingleSetBitAnywhereMakesABufferNonZero) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{4096}}) {
    for (std::size_t at = 0; at < size; ++at) {
      ByteVector bytes(size);
      bytes[at] = std::byte{0x10};
      EXPECT_FALSE(is_all_zero(bytes)) << size << " " << at;
    }
  }
}

TEST(Bytes, IntegersAreStoredLittleEndianAtAnyAlignment) {
  ByteVector bytes(16);
  store_le<std::uint32_t>(bytes, 3, 0x11223344);
  EXPECT_EQ(bytes[3], std::byte{0x44});
  EXPECT_EQ(bytes[6], std::byte{0x11});
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 3), 0x11223344u);
  EXPECT_EQ(load_le<std::uint16_t>(bytes, 5), 0x1122u);
}

}  // namespace
}  // namespace vmsnap
