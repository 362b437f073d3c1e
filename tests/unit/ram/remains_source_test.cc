// SPDX-License-Identifier: BSD-2-Clause
#include "ram/remains_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "ram/flat_ram_writer.h"
#include "ram_file.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kExtent = 256u << 10;

/// Extent 0: a page of data in zeros. 1: zeros. 2: data. 3: two pages of data, and the end of the segment.
ByteVector memory() {
  ByteVector bytes(3 * kExtent + 2 * kPageSize);
  std::fill_n(bytes.begin() + kPageSize, kPageSize, std::byte{1});
  for (std::size_t at = 2 * kExtent; at < bytes.size(); ++at)
    bytes[at] = static_cast<std::byte>(at % 251 + 1);
  return bytes;
}

class RemainsSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_flat_ram(sound_.writer(), 1, 0, RamSource{memory_}));
    ASSERT_NO_FATAL_FAILURE(sound_.finish());
    chunks_ = sound_.ram_chunks();
    ASSERT_EQ(chunks_.size(), 1u);
    open(test::read_whole(sound_.reader().file()));
  }

  /// The remains of the segment in a file that holds `bytes`.
  void open(const ByteVector& bytes) {
    file_ = test::memory_file(bytes);
    auto remains = SegmentRemains::open(*file_, memory_.size(), chunks_);
    ASSERT_TRUE(remains) << remains.error().to_string();
    remains_ = std::move(*remains);
  }

  /// The file with the last byte of an extent flipped.
  [[nodiscard]] ByteVector damaged(std::uint64_t extent) const {
    ByteVector bytes = test::read_whole(sound_.reader().file());
    bytes[chunks_[0]->body_offset() + std::min<std::uint64_t>((extent + 1) * kExtent, memory_.size()) - 1] ^=
        std::byte{1};
    return bytes;
  }

  [[nodiscard]] LostExtents lost(unsigned threads = 1) const {
    PassOptions pass;
    pass.threads = threads;
    auto found = find_lost_extents(*remains_, pass);
    EXPECT_TRUE(found) << found.error().to_string();
    return *std::move(found);
  }

  const ByteVector memory_ = memory();
  test::RamFile sound_;
  std::vector<const ChunkRecord*> chunks_;
  std::optional<File> file_;
  std::optional<SegmentRemains> remains_;
};

TEST_F(RemainsSourceTest, GivesEveryExtentOfWhatIsWholeWithItsLeaf) {
  const LostExtents none = lost();
  EXPECT_TRUE(none.empty());
  RemainsSource source(*remains_, none);
  ASSERT_EQ(source.extent_count(), 4u);
  for (std::uint64_t i = 0; i < source.extent_count(); ++i) {
    SCOPED_TRACE(i);
    Extent extent;
    ASSERT_TRUE(source.scan(i, extent));
    const ByteView expected = ByteView(memory_).subspan(extent.begin, extent.end - extent.begin);
    EXPECT_EQ(extent.leaf, xxh3_64(expected));
    EXPECT_EQ(extent.data.empty(), i == 1);
    if (!extent.data.empty()) {
      EXPECT_TRUE(std::ranges::equal(extent.bytes, expected));
    }
    EXPECT_TRUE(source.holds(i, expected).value());
    ByteVector other(expected.begin(), expected.end());
    other.back() ^= std::byte{1};
    EXPECT_FALSE(source.holds(i, other).value());
  }
}

TEST_F(RemainsSourceTest, GivesZerosWhereAnExtentIsLost) {
  open(damaged(2));
  for (const unsigned threads : {1u, 3u}) {
    const LostExtents found = lost(threads);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found.begin()->first, 2u);
    EXPECT_THAT(found.begin()->second, HasSubstr("do not match their hash"));
    RemainsSource source(*remains_, found);
    Extent extent;
    ASSERT_TRUE(source.scan(2, extent));
    EXPECT_TRUE(extent.data.empty());
    EXPECT_EQ(extent.leaf, xxh3_64(ByteVector(kExtent)));
    EXPECT_TRUE(source.holds(2, ByteVector(kExtent)).value());
    ASSERT_TRUE(source.scan(3, extent));
    EXPECT_EQ(extent.leaf, xxh3_64(ByteView(memory_).subspan(3 * kExtent)));
  }
}

TEST_F(RemainsSourceTest, NeverTakesBytesThatWentBadAfterTheLookForZeros) {
  const LostExtents none = lost();
  const ByteVector bad = damaged(3);
  ASSERT_TRUE(file_->write_at(0, bad));
  RemainsSource source(*remains_, none);
  Extent extent;
  const auto scanned = source.scan(3, extent);
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(scanned.error().message(), HasSubstr("changed while it was read"));
  EXPECT_FALSE(source.holds(3, ByteView(memory_).subspan(3 * kExtent)));
}

TEST_F(RemainsSourceTest, CountsEveryByteOfTheLookAndEndsItWhenItIsCancelled) {
  std::atomic<std::uint64_t> done = 0;
  PassOptions pass;
  pass.progress = [&](std::uint64_t bytes) { done += bytes; };
  ASSERT_TRUE(find_lost_extents(*remains_, pass));
  EXPECT_EQ(done, memory_.size());
  const std::atomic<bool> cancelled = true;
  pass.cancelled = &cancelled;
  const auto ended = find_lost_extents(*remains_, pass);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind(), ErrorKind::kInvalidState);
}

}  // namespace
}  // namespace vmsnap
