// SPDX-License-Identifier: BSD-2-Clause
#include "base/hash.h"

#include <gtest/gtest.h>

namespace vmsnap {
namespace {

// The expected values are printed by the xxhsum program of the xxHash project:
//   printf '' | xxhsum -H3;  printf '' | xxhsum -H2
TEST(Hash, OfNothingIsThePublishedConstant) {
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2u);
  EXPECT_EQ(to_string(xxh3_128({})), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, InPiecesEqualsTheHashOfTheWhole) {
  ByteVector bytes(5000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  Xxh3Stream stream;
  for (std::size_t at = 0; at < bytes.size(); at += 777) {
    stream.update(ByteView(bytes).subspan(at, std::min<std::size_t>(777, bytes.size() - at)));
  }
  EXPECT_EQ(stream.digest_64(), xxh3_64(bytes));
  EXPECT_EQ(stream.digest_128(), xxh3_128(bytes));
}

TEST(Hash, WithASeedDiffersAndAgreesBetweenTheTwoForms) {
  const ByteView bytes = as_byte_view("chunk header");
  Xxh3Stream stream(42);
  stream.update(bytes);
  EXPECT_EQ(stream.digest_64(), xxh3_64(bytes, 42));
  EXPECT_NE(xxh3_64(bytes, 42), xxh3_64(bytes));
}

}  // namespace
}  // namespace vmsnap
