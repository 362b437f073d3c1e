// SPDX-License-Identifier: BSD-2-Clause
#include "ram/segment_batches.h"

#include <gtest/gtest.h>

#include <ctime>
#include <deque>

#include "format/constants.h"
#include "ram/flat_ram.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kExtent = std::uint64_t{1} << kMinExtentShift;
constexpr std::uint32_t kExtentPages = kExtent / kPageSize;

PageRun data(std::uint32_t pages) {
  return {PageRunKind::kData, pages, 0};
}

PageRun zero(std::uint32_t pages) {
  return {PageRunKind::kZero, pages, 0};
}

PageRun duplicate(std::uint32_t pages, std::uint64_t first_page) {
  return {PageRunKind::kDuplicate, pages, first_page * kPageSize};
}

/// A segment that is given batch after batch.
class Segment {
 public:
  explicit Segment(std::uint64_t size) : size_(size), batches_(0, size) {}

  /// A batch of `extents` extents.
  Result<void> add(std::uint32_t extents, std::vector<PageRun> runs, std::uint8_t shift = kMinExtentShift) {
    ExtentRamMeta meta;
    meta.extent_shift = shift;
    meta.first_extent = next_;
    meta.leaves.resize(extents);
    meta.runs = std::move(runs);
    next_ += extents;
    ChunkRecord& chunk = chunks_.emplace_back();
    chunk.header.type = kChunkExtentRam;
    chunk.header.body_size = meta.data_bytes();
    VMSNAP_ASSIGN_OR_RETURN(ExtentBatch batch, ExtentBatch::decode(chunk, encode(meta), size_));
    return batches_.add(chunk, std::move(batch));
  }

  [[nodiscard]] const SegmentBatches& batches() const { return batches_; }

 private:
  std::uint64_t size_;
  std::uint32_t next_ = 0;
  std::deque<ChunkRecord> chunks_;
  SegmentBatches batches_;
};

void expect_refused(const Result<void>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  EXPECT_NE(result.error().to_string().find("where no data is"), std::string::npos)
      << result.error().to_string();
}

TEST(SegmentBatches, TakesDuplicatesOfTheDataOfSeveralRunsAndBatches) {
  Segment segment(3 * kExtent);
  ASSERT_TRUE(segment.add(1, {zero(1), data(1), data(kExtentPages - 2)}));
  ASSERT_TRUE(segment.add(1, {data(2), zero(1), duplicate(kExtentPages - 3, 3)}));
  const auto last = segment.add(1, {duplicate(kExtentPages, 2)});
  ASSERT_TRUE(last) << last.error().to_string();
  EXPECT_TRUE(segment.batches().check_complete());
}

TEST(SegmentBatches, RefusesDuplicatesOfAnythingButData) {
  const std::vector<PageRun> first = {data(2), zero(1), data(1), zero(kExtentPages - 4)};
  const auto second = [&](PageRun run) {
    Segment segment(2 * kExtent);
    EXPECT_TRUE(segment.add(1, first));
    return segment.add(1, {duplicate(1, 0), run, zero(kExtentPages - 1 - run.pages)});
  };
  EXPECT_TRUE(second(duplicate(2, 0)));
  expect_refused(second(duplicate(1, 2)));
  expect_refused(second(duplicate(2, 1)));
  expect_refused(second(duplicate(4, 0)));
  expect_refused(second(duplicate(2, 2)));
  expect_refused(second(duplicate(1, kExtentPages)));
}

TEST(SegmentBatches, CountsThePiecesThatAMappingWouldTake) {
  Segment segment(2 * kExtent);
  ASSERT_TRUE(segment.add(1, {data(1), data(1), data(1), zero(kExtentPages - 3)}));
  EXPECT_EQ(segment.batches().pieces(), 4u);
  ASSERT_TRUE(segment.add(1, {data(1), duplicate(1, 1), duplicate(3, 0), zero(kExtentPages - 5)}));
  EXPECT_EQ(segment.batches().pieces(), 4u + 1 + 1 + 3 + 1);
}

TEST(SegmentBatches, ChecksManyDuplicatesOfManyRunsInLittleTime) {
  constexpr std::uint32_t kRuns = 50'000;
  const std::uint64_t size = std::uint64_t{kRuns} * (kRuns + 1) * kPageSize;
  const auto shift = choose_extent_shift(size);
  ASSERT_TRUE(shift);
  std::vector<PageRun> runs(kRuns, data(1));
  runs.resize(2 * std::size_t{kRuns}, duplicate(kRuns, 0));
  Segment segment(size);
  const std::clock_t start = std::clock();
  ASSERT_TRUE(segment.add(static_cast<std::uint32_t>(extent_count(size, *shift)), runs, *shift));
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 5);
  EXPECT_EQ(segment.batches().pieces(), kRuns + std::uint64_t{kRuns} * kRuns);
}

}  // namespace
}  // namespace vmsnap
