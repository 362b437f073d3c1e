// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_ram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "container/flatbuffer.h"
#include "format/constants.h"
#include "rame_generated.h"

namespace vmsnap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kExtent = 256u << 10;
constexpr std::uint32_t kExtentPages = 64;
// Three extents, the last of them one page short.
constexpr std::uint64_t kSegment = 3 * kExtent - kPageSize;

/// A batch of the second and the third extent: 40 pages of data, 24 that repeat the first of the segment, 20
/// of data, and zeros.
ExtentRamMeta batch() {
  ExtentRamMeta meta;
  meta.segment = 7;
  meta.extent_shift = 18;
  meta.first_extent = 1;
  meta.leaves = {11, 12};
  meta.runs = {{PageRunKind::kData, 40, 0},
               {PageRunKind::kDuplicate, 24, 0},
               {PageRunKind::kData, 20, 0},
               {PageRunKind::kZero, 43, 0}};
  return meta;
}

constexpr std::uint64_t kDataSize = 60 * kPageSize;

/// The same, compressed: 40 pages are three blocks, 20 are two.
ExtentRamMeta compressed_batch() {
  ExtentRamMeta meta = batch();
  meta.block_sizes = {100, 65536, 8 * kPageSize, 1, 4 * kPageSize};
  return meta;
}

constexpr std::uint64_t kCompressedSize = 100 + 65536 + 8 * kPageSize + 1 + 4 * kPageSize;

TEST(ExtentRamMeta, ComesBackAsItWasWritten) {
  const auto raw = decode_extent_ram(encode(batch()), kSegment, kDataSize, Codec::kNone);
  ASSERT_TRUE(raw) << raw.error().to_string();
  EXPECT_EQ(*raw, batch());
  EXPECT_EQ(raw->begin(), kExtent);
  EXPECT_EQ(raw->end(kSegment), kSegment);
  EXPECT_EQ(raw->data_bytes(), kDataSize);
  const auto lz4 = decode_extent_ram(encode(compressed_batch()), kSegment, kCompressedSize, Codec::kLz4);
  ASSERT_TRUE(lz4) << lz4.error().to_string();
  EXPECT_EQ(*lz4, compressed_batch());
}

TEST(ExtentRamMeta, BlocksNeverReachFromOneExtentIntoTheNext) {
  EXPECT_THAT(block_contents(batch()), ElementsAre(65536, 65536, 8 * kPageSize, 65536, 4 * kPageSize));
  ExtentRamMeta one_run = batch();
  one_run.runs = {{PageRunKind::kData, 2 * kExtentPages - 1, 0}};
  EXPECT_THAT(block_contents(one_run), ElementsAre(65536, 65536, 65536, 65536, 65536, 65536, 65536, 61440));
  ExtentRamMeta empty = batch();
  empty.runs = {{PageRunKind::kZero, 2 * kExtentPages - 1, 0}};
  EXPECT_THAT(block_contents(empty), IsEmpty());
}

struct Refusal {
  std::string name;
  std::function<void(ExtentRamMeta&)> change;
  std::string field;
  std::string fragment;
  ErrorKind kind = ErrorKind::kCorrupt;
};

void expect_refusals(const ExtentRamMeta& sound, std::uint64_t body_size, Codec codec,
                     const std::vector<Refusal>& refusals) {
  ASSERT_TRUE(decode_extent_ram(encode(sound), kSegment, body_size, codec));
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.name);
    ExtentRamMeta meta = sound;
    refusal.change(meta);
    const auto refused = decode_extent_ram(encode(meta), kSegment, body_size, codec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), refusal.kind) << refused.error().to_string();
    EXPECT_EQ(refused.error().field(), refusal.field) << refused.error().to_string();
    EXPECT_THAT(refused.error().message(), HasSubstr(refusal.fragment));
  }
}

TEST(ExtentRamMeta, RefusesExtentsThatAreNotInTheSegment) {
  expect_refusals(
      batch(), kDataSize, Codec::kNone,
      {
          {"extents too small", [](auto& m) { m.extent_shift = 17; }, "extent_shift", "2^17"},
          {"extents too large", [](auto& m) { m.extent_shift = 31; }, "extent_shift", "2^31"},
          {"shift beyond any integer", [](auto& m) { m.extent_shift = 255; }, "extent_shift", "2^255"},
          {"no extents", [](auto& m) { m.leaves.clear(); }, "leaves", "0 extents"},
          {"one more than there are", [](auto& m) { m.leaves.push_back(1); }, "leaves", "3 extents"},
          {"first beyond the last", [](auto& m) { m.first_extent = 3; }, "leaves", "from extent 3"},
          {"first beyond any", [](auto& m) { m.first_extent = ~0u; }, "leaves", "from extent 4294967295"},
      });
}

TEST(ExtentRamMeta, RefusesASegmentWithMoreExtentsThanTheFormatAllows) {
  ExtentRamMeta meta = batch();
  meta.leaves = {11};
  meta.runs = {{PageRunKind::kZero, kExtentPages, 0}};
  EXPECT_TRUE(decode_extent_ram(encode(meta), kExtent * kMaxLeafCount, 0, Codec::kNone));
  const auto refused = decode_extent_ram(encode(meta), kExtent * kMaxLeafCount + kPageSize, 0, Codec::kNone);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field(), "leaves");
}

TEST(ExtentRamMeta, RefusesRunsThatDoNotCoverTheBatchExactly) {
  expect_refusals(
      batch(), kDataSize, Codec::kNone,
      {
          {"no runs", [](auto& m) { m.runs.clear(); }, "runs.pages", "do not reach the end"},
          {"a page short", [](auto& m) { --m.runs[3].pages; }, "runs.pages", "do not reach the end"},
          {"a page long", [](auto& m) { ++m.runs[3].pages; }, "runs.pages", "run 3 of 44 pages"},
          {"a run of no pages", [](auto& m) { m.runs[1].pages = 0; }, "runs.pages", "run 1 of 0 pages"},
          {"a run after the end",
           [](auto& m) {
             m.runs.push_back({PageRunKind::kZero, 1, 0});
           },
           "runs.pages", "run 4 of 1 pages"},
          {"a run of 16 TiB", [](auto& m) { m.runs[0].pages = ~0u; }, "runs.pages", "run 0"},
      });
}

TEST(ExtentRamMeta, RefusesRunsOfAKindItDoesNotKnow) {
  expect_refusals(batch(), kDataSize, Codec::kNone,
                  {
                      {"parent", [](auto& m) { m.runs[3].kind = PageRunKind::kParent; }, "runs.kind",
                       "run 3 has kind 3", ErrorKind::kUnsupported},
                      {"unknown", [](auto& m) { m.runs[0].kind = static_cast<PageRunKind>(200); },
                       "runs.kind", "run 0 has kind 200", ErrorKind::kUnsupported},
                  });
}

TEST(ExtentRamMeta, RefusesSourcesThatAreNotWholePagesInFrontOfTheRun) {
  expect_refusals(
      batch(), kDataSize, Codec::kNone,
      {
          {"inside a page", [](auto& m) { m.runs[1].source = 1; }, "runs.source", "source 0x1"},
          {"overlaps itself", [](auto& m) { m.runs[1].source = kExtent + 17 * kPageSize; }, "runs.source",
           "run 1"},
          {"itself", [](auto& m) { m.runs[1].source = kExtent + 40 * kPageSize; }, "runs.source", "run 1"},
          {"behind it", [](auto& m) { m.runs[1].source = 2 * kExtent; }, "runs.source", "run 1"},
          {"beyond any", [](auto& m) { m.runs[1].source = ~std::uint64_t{4095}; }, "runs.source", "run 1"},
          {"of data", [](auto& m) { m.runs[0].source = kPageSize; }, "runs.source", "run 0"},
          {"of zeros", [](auto& m) { m.runs[3].source = kPageSize; }, "runs.source", "run 3"},
      });
}

TEST(ExtentRamMeta, RefusesABodyOfAnotherSizeThanItsData) {
  for (const std::uint64_t size : {std::uint64_t{0}, kDataSize - 1, kDataSize + kPageSize}) {
    const auto refused = decode_extent_ram(encode(batch()), kSegment, size, Codec::kNone);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(refused.error().field(), "runs.pages");
  }
  expect_refusals(batch(), kDataSize, Codec::kNone,
                  {{"blocks", [](auto& m) { m.block_sizes = {1}; }, "block_sizes", "no blocks"}});
}

TEST(ExtentRamMeta, RefusesBlocksThatDoNotFitTheDataOrTheBody) {
  expect_refusals(
      compressed_batch(), kCompressedSize, Codec::kLz4,
      {
          {"none", [](auto& m) { m.block_sizes.clear(); }, "block_sizes", "0 blocks"},
          {"one too few", [](auto& m) { m.block_sizes.pop_back(); }, "block_sizes", "4 blocks"},
          {"one too many", [](auto& m) { m.block_sizes.push_back(1); }, "block_sizes", "6 blocks"},
          {"empty", [](auto& m) { m.block_sizes[3] = 0; }, "block_sizes", "block 3 of 0 bytes"},
          {"larger than its content", [](auto& m) { m.block_sizes[2] = 8 * kPageSize + 1; }, "block_sizes",
           "block 2"},
          {"less than the body", [](auto& m) { --m.block_sizes[0]; }, "block_sizes", "the body"},
          {"more than the body", [](auto& m) { ++m.block_sizes[0]; }, "block_sizes", "the body"},
      });
}

TEST(ExtentRamMeta, RefusesDataForMoreBlocksThanThereAreBeforeItCountsThem) {
  // 8 TiB of data in two runs of a few bytes.
  ExtentRamMeta meta;
  meta.extent_shift = 30;
  meta.leaves.assign(1u << 13, 0);
  for (int i = 0; i < 2; ++i) meta.runs.push_back({PageRunKind::kData, 1u << 30, 0});
  meta.block_sizes = {1};
  const auto refused = decode_extent_ram(encode(meta), std::uint64_t{1} << 43, 1, Codec::kLz4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field(), "block_sizes");
  EXPECT_THAT(refused.error().message(), HasSubstr("1 blocks are too few for 8796093022208 bytes"));
}

TEST(ExtentRamMeta, RefusesBytesThatAreNoFlatBufferOfItsType) {
  const ByteVector bytes = encode(batch());
  for (std::size_t size = 0; size < bytes.size(); size += 4) {
    EXPECT_FALSE(decode_extent_ram(ByteView(bytes).first(size), kSegment, kDataSize, Codec::kNone)) << size;
  }
  ByteVector other = bytes;
  other[4] = std::byte{'X'};
  const auto refused = decode_extent_ram(other, kSegment, kDataSize, Codec::kNone);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("not a FlatBuffer of the chunk's type"));
}

TEST(ExtentRamMeta, RefusesAMetaWithoutLeavesOrRuns) {
  for (const bool with_leaves : {true, false}) {
    flatbuffers::FlatBufferBuilder builder;
    const auto leaves = builder.CreateVector(std::vector<std::uint64_t>{1});
    const auto runs = builder.CreateVectorOfStructs(std::vector<schema::PageRun>{});
    schema::ExtentRamBuilder table(builder);
    if (with_leaves) {
      table.add_leaves(leaves);
    } else {
      table.add_runs(runs);
    }
    // Finish() would insist on the fields that are required.
    const flatbuffers::Offset<schema::ExtentRam> root(builder.EndTable(table.start_));
    schema::FinishExtentRamBuffer(builder, root);
    const auto refused = decode_extent_ram(take_bytes(builder), kSegment, 0, Codec::kNone);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt);
  }
}

}  // namespace
}  // namespace vmsnap
