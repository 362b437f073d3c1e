// SPDX-License-Identifier: BSD-2-Clause
#include "format/file_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

FileHeader sample() {
  FileHeader header;
  for (std::size_t i = 0; i < 16; ++i) header.uuid.bytes[i] = std::byte(i);
  header.body_align_shift = 21;
  return header;
}

void seal(ByteVector& bytes) {
  Xxh3Stream stream;
  stream.update(ByteView(bytes).first(120));
  stream.update(ByteView(bytes).subspan(128));
  store_le(MutableByteView(bytes), 120, stream.digest_64());
}

void expect_refusal(const ByteVector& bytes, ErrorKind kind, const std::string& fragment) {
  const auto decoded = decode_file_header(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().kind(), kind) << decoded.error().to_string();
  EXPECT_THAT(decoded.error().message(), HasSubstr(fragment));
}

TEST(FileHeader, StandsAtTheOffsetsThatTheFormatStates) {
  FileHeader header = sample();
  header.features = {{FeatureKind::kCompatible, 5, "hints"}};
  const ByteVector bytes = encode(header);
  ASSERT_EQ(bytes.size(), 192u);
  const std::uint8_t magic[] = {0x8F, 0x56, 0x4D, 0x53, 0x0D, 0x0A, 0x1A, 0x0A};
  EXPECT_EQ(std::memcmp(bytes.data(), magic, 8), 0);
  EXPECT_EQ(load_le<std::uint16_t>(ByteView(bytes), 8), 1);
  EXPECT_EQ(load_le<std::uint16_t>(ByteView(bytes), 10), 0);
  EXPECT_EQ(load_le<std::uint32_t>(ByteView(bytes), 12), 192u);
  EXPECT_EQ(load_le<std::uint64_t>(ByteView(bytes), 16), 0u);
  EXPECT_EQ(load_le<std::uint64_t>(ByteView(bytes), 24), 32u);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 32 + 7), 7);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 48), 12);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 49), 21);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 50), 1);
  EXPECT_EQ(load_le<std::uint32_t>(ByteView(bytes), 52), 1u);
  EXPECT_EQ(load_le<std::uint16_t>(ByteView(bytes), 56), 1u);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 128), 1);
  EXPECT_EQ(load_le<std::uint8_t>(ByteView(bytes), 129), 5);
  EXPECT_EQ(std::memcmp(bytes.data() + 132, "hints\0", 6), 0);
}

TEST(FileHeader, SeedIsTheXorOfTheTwoHalvesOfTheUuid) {
  EXPECT_EQ(sample().hash_seed(), 0x0706050403020100u ^ 0x0f0e0d0c0b0a0908u);
}

TEST(FileHeader, ComesBackAsItWasWritten) {
  FileHeader header = sample();
  header.minor = 7;
  header.arch = 99;
  header.features = {{FeatureKind::kCompatible, 0, "a"},
                     {FeatureKind::kCompatible, 63, std::string(59, 'z')}};
  const auto decoded = decode_file_header(encode(header));
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, header);
}

TEST(FileHeader, RefusesEverySingleFlippedBit) {
  FileHeader header = sample();
  header.features = {{FeatureKind::kCompatible, 3, "hints"}};
  const ByteVector good = encode(header);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    ByteVector bad = good;
    bad[bit / 8] ^= std::byte(1 << (bit % 8));
    const auto decoded = decode_file_header(bad);
    ASSERT_FALSE(decoded) << "bit " << bit;
    ASSERT_EQ(decoded.error().kind(), ErrorKind::kCorrupt)
        << "bit " << bit << ": " << decoded.error().to_string();
  }
}

TEST(FileHeader, NamesAnIncompatibleFeatureAsTheFileNamesIt) {
  FileHeader header = sample();
  header.features = {{FeatureKind::kIncompatible, 63, "quantum-ram"}};
  expect_refusal(encode(header), ErrorKind::kUnsupported, "\"quantum-ram\"");
}

TEST(FileHeader, RefusesEveryRegisteredFeatureThatThisBuildDoesNotSupport) {
  std::size_t refused = 0;
  for (const RegisteredFeature& feature : registered_features()) {
    if (feature.kind != FeatureKind::kIncompatible || feature.supported) continue;
    FileHeader header = sample();
    header.features = {{feature.kind, feature.bit, std::string(feature.name)}};
    expect_refusal(encode(header), ErrorKind::kUnsupported, std::string(feature.name));
    ++refused;
  }
  EXPECT_EQ(refused, 1u);
}

TEST(FileHeader, AnotherMajorVersionIsUnsupportedAndAnotherMinorIsRead) {
  FileHeader header = sample();
  header.major = 2;
  expect_refusal(encode(header), ErrorKind::kUnsupported, "version 2.0");
  header.major = 0;
  expect_refusal(encode(header), ErrorKind::kUnsupported, "version 0.0");
  header.major = 1;
  header.minor = 65535;
  EXPECT_TRUE(decode_file_header(encode(header)));
}

TEST(FileHeader, AMajorVersionWithAWrongHashIsDamageAndNotANewerFormat) {
  ByteVector bytes = encode(sample());
  bytes[8] = std::byte{2};
  expect_refusal(bytes, ErrorKind::kCorrupt, "hash of the file header");
}

TEST(FileHeader, AnotherDigestAlgorithmOrPageSizeIsUnsupported) {
  FileHeader header = sample();
  header.digest_algorithm = 2;
  expect_refusal(encode(header), ErrorKind::kUnsupported, "digest algorithm 2");
  header = sample();
  header.page_shift = 16;
  expect_refusal(encode(header), ErrorKind::kUnsupported, "2^16");
}

TEST(FileHeader, RefusesBodyAlignmentsOutsideTheRange) {
  for (const int shift : {0, 11, 31, 255}) {
    FileHeader header = sample();
    header.body_align_shift = static_cast<std::uint8_t>(shift);
    expect_refusal(encode(header), ErrorKind::kCorrupt, "body alignment");
  }
}

TEST(FileHeader, RefusesFeatureRecordsThatAreMalformedOrDisagreeWithTheMasks) {
  FileHeader header = sample();
  header.features = {{FeatureKind::kCompatible, 3, "hints"}, {FeatureKind::kCompatible, 9, "more"}};
  const ByteVector good = encode(header);
  const auto with = [&](std::size_t at, std::uint8_t value, ErrorKind kind, const std::string& fragment) {
    ByteVector bad = good;
    bad[at] = std::byte{value};
    seal(bad);
    expect_refusal(bad, kind, fragment);
  };
  with(128, 2, ErrorKind::kCorrupt, "feature record is malformed");
  with(129, 64, ErrorKind::kCorrupt, "feature record is malformed");
  with(130, 1, ErrorKind::kCorrupt, "feature record is malformed");
  with(129, 10, ErrorKind::kCorrupt, "not in order");
  with(129, 9, ErrorKind::kCorrupt, "not in order");
  with(129, 4, ErrorKind::kCorrupt, "compatible feature mask");
  with(16, 1, ErrorKind::kCorrupt, "incompatible feature mask");
  with(24, 0, ErrorKind::kCorrupt, "compatible feature mask");
  with(132, 'A', ErrorKind::kCorrupt, "name of the feature");
  with(132, 0, ErrorKind::kCorrupt, "name of the feature");
  with(191, 'x', ErrorKind::kCorrupt, "name of the feature");
  with(56, 3, ErrorKind::kCorrupt, "number of features");
}

TEST(FileHeader, RefusesReservedBytesThatAreNotZero) {
  for (const std::size_t at : {std::size_t{51}, std::size_t{58}, std::size_t{119}}) {
    ByteVector bad = encode(sample());
    bad[at] = std::byte{1};
    seal(bad);
    expect_refusal(bad, ErrorKind::kCorrupt, "reserved bytes");
  }
}

TEST(FileHeader, AShortFileIsTruncatedAndAForeignOneCorrupt) {
  const ByteVector good = encode(sample());
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{8}, std::size_t{127}}) {
    const auto refused = file_header_size(ByteView(good).first(size));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kTruncated) << size;
  }
  const auto foreign = file_header_size(as_byte_view("#!/bin/sh\n"));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(foreign.error().message(), HasSubstr("not a vmsnap snapshot"));
}

TEST(FileHeader, RecognisesDamageByTextModeTransfers) {
  const auto expect_hint = [](const std::string& start, const std::string& fragment) {
    ByteVector bytes(128);
    std::memcpy(bytes.data(), start.data(), start.size());
    const auto refused = file_header_size(bytes);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(refused.error().message(), HasSubstr(fragment));
  };
  expect_hint("\x8FVMS\n\x1a\n", "line ends");
  expect_hint("\x8FVMS\r\r\n\x1a\r\n", "line ends");
  expect_hint("\x8FVMS\r\n\x1a\r\n", "line ends");
  expect_hint("\x0FVMS\r\n\x1a\n", "as text");
  expect_hint("\xC2\x8FVMS\r\n", "as text");
  expect_hint("\xEF\xBF\xBDVMS\r\n", "as text");
}

TEST(FileHeader, RefusesImpossibleHeaderSizes) {
  for (const std::uint32_t size : {0u, 64u, 127u, 129u, 8384u, 0xFFFFFFC0u}) {
    ByteVector bytes = encode(sample());
    store_le(MutableByteView(bytes), 12, size);
    const auto refused = file_header_size(bytes);
    ASSERT_FALSE(refused) << size;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << size;
  }
}

}  // namespace
}  // namespace vmsnap
