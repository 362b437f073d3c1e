// SPDX-License-Identifier: BSD-2-Clause
#include "format/digest.h"

#include <gtest/gtest.h>

#include "format/features.h"

namespace vmsnap {
namespace {

// The expected numbers were computed with python3-xxhash, an independent binding.
TEST(Digest, LeavesAreHashedAsLittleEndianWords) {
  const std::uint64_t leaves[] = {1, 2};
  EXPECT_EQ(leaves_hash(leaves), 0x07EE86C281446BEFu);
}

TEST(Digest, HashOfZerosMatchesHashingThem) {
  EXPECT_EQ(zero_hash(0), 0x2D06800538D394C2u);
  EXPECT_EQ(zero_hash(4096), 0x93D76FE148C689BAu);
  EXPECT_EQ(zero_hash(262144), 0x2D64C035E85FB928u);
  EXPECT_EQ(zero_hash(5000), xxh3_64(ByteVector(5000)));
}

TEST(Digest, RootCoversTheUuidAndEveryDigestInOrder) {
  Uuid uuid;
  const std::uint8_t bytes[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x46, 0x07,
                                0x88, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
  std::memcpy(uuid.bytes.data(), bytes, 16);
  Digest128 digest;
  for (std::size_t i = 0; i < 16; ++i) digest.bytes[i] = std::byte(i);
  RootHasher hasher(uuid);
  hasher.add(digest);
  EXPECT_EQ(to_string(hasher.root()), "b5d09530fc425381341762c8fbd5de81");
  ByteVector all(uuid.bytes.begin(), uuid.bytes.end());
  all.insert(all.end(), digest.bytes.begin(), digest.bytes.end());
  EXPECT_EQ(hasher.root(), xxh3_128(all));
  RootHasher other(uuid);
  EXPECT_NE(other.root(), hasher.root());
}

TEST(Digest, ChunkDigestIsThatOfHeaderAndMetaInARow) {
  const ByteVector header(64, std::byte{1});
  const ByteVector meta(10, std::byte{2});
  ByteVector all = header;
  all.insert(all.end(), meta.begin(), meta.end());
  EXPECT_EQ(chunk_digest(header, meta), xxh3_128(all));
}

TEST(Features, NamesAreLowerCaseLettersDigitsAndDashes) {
  EXPECT_TRUE(is_feature_name("ram-extents"));
  EXPECT_TRUE(is_feature_name(std::string(59, 'a')));
  EXPECT_FALSE(is_feature_name(std::string(60, 'a')));
  EXPECT_FALSE(is_feature_name(""));
  EXPECT_FALSE(is_feature_name("Ram"));
  EXPECT_FALSE(is_feature_name("ram_extents"));
}

TEST(Features, EveryRegisteredFeatureHasAValidNameAndItsOwnBit) {
  for (const RegisteredFeature& feature : registered_features()) {
    EXPECT_TRUE(is_feature_name(feature.name)) << feature.name;
    EXPECT_EQ(find_registered_feature(feature.kind, feature.bit), &feature) << feature.name;
  }
  EXPECT_EQ(find_registered_feature(FeatureKind::kIncompatible, 63), nullptr);
}

}  // namespace
}  // namespace vmsnap
