// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/constants.h"
#include "ram.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr std::uint64_t kHigh = std::uint64_t{4} << 30;

/// 4 pages at 0, each byte 1, and 2 pages at 4 GiB, each byte 2.
Ram two_segments() {
  return {{{Gpa(0), ByteVector(4 * kPageSize, std::byte{1})},
           {Gpa(kHigh), ByteVector(2 * kPageSize, std::byte{2})}}};
}

TEST(OverlaidMemory, ReadsAnyBytesOfASegment) {
  const Ram ram = two_segments();
  const OverlaidMemory memory = ram.overlay();
  const auto low = memory.read(Gpa(kPageSize - 1), 2);
  ASSERT_TRUE(low) << low.error().to_string();
  EXPECT_EQ(*low, ByteVector(2, std::byte{1}));
  const auto high = memory.read(Gpa(kHigh + 2 * kPageSize - 1), 1);
  ASSERT_TRUE(high) << high.error().to_string();
  EXPECT_EQ(*high, ByteVector(1, std::byte{2}));
}

TEST(OverlaidMemory, RefusesWhatIsNotWhollyInOneSegment) {
  Ram ram = two_segments();
  ram.segments.push_back({Gpa(kHigh + 2 * kPageSize), ByteVector(kPageSize)});  // adjacent
  OverlaidMemory memory = ram.overlay();
  struct {
    std::uint64_t address, size;
  } const cases[] = {
      {4 * kPageSize - 1, 2}, {4 * kPageSize, 1},         {kHigh - 1, 2}, {kHigh + 2 * kPageSize - 1, 2},
      {~std::uint64_t{0}, 1}, {~std::uint64_t{0} - 4, 8}, {kHigh / 2, 0},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(testing::PrintToString(one.address));
    const auto read = memory.read(Gpa(one.address), one.size);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(read.error().to_string(), HasSubstr("not in its memory"));
    const auto written = memory.write(Gpa(one.address), ByteVector(one.size));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(OverlaidMemory, RefusesMoreThanARingCanHaveWithoutReadingIt) {
  const Ram ram{{{Gpa(0), ByteVector(2 << 20)}}};
  OverlaidMemory memory = ram.overlay();
  EXPECT_TRUE(memory.read(Gpa(0), 1 << 20));
  const int reads = ram.reads;
  const auto read = memory.read(Gpa(0), (1 << 20) + 1);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kLimitExceeded);
  const auto huge = memory.read(Gpa(0), ~std::uint64_t{0});
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_FALSE(memory.write(Gpa(0), ByteVector((1 << 20) + 1)));
  EXPECT_EQ(ram.reads, reads);
}

TEST(OverlaidMemory, GivesWhatWasWrittenAndStillKnowsTheOriginal) {
  const Ram ram = two_segments();
  OverlaidMemory memory = ram.overlay();
  ByteVector across(kPageSize + 2, std::byte{9});  // of page 0 one byte, page 1, of page 2 one byte
  ASSERT_TRUE(memory.write(Gpa(kPageSize - 1), across));
  EXPECT_EQ(*memory.read(Gpa(kPageSize - 1), across.size()), across);
  EXPECT_EQ(*memory.read_original(Gpa(kPageSize - 1), across.size()),
            ByteVector(across.size(), std::byte{1}));
  const auto around = memory.read(Gpa(kPageSize - 2), 2);
  ASSERT_TRUE(around);
  EXPECT_EQ((*around)[0], std::byte{1});
  EXPECT_EQ((*around)[1], std::byte{9});
  EXPECT_THAT(ram.segments[0].bytes, Each(std::byte{1})) << "the file stays as it is";
}

TEST(OverlaidMemory, KnowsWhichPagesWereChanged) {
  const Ram ram = two_segments();
  OverlaidMemory memory = ram.overlay();
  EXPECT_FALSE(memory.is_changed(0, 0, 4 * kPageSize));
  ASSERT_TRUE(memory.write(Gpa(2 * kPageSize + 5), ByteVector(1, std::byte{7})));
  EXPECT_FALSE(memory.is_changed(0, 0, 2 * kPageSize));
  EXPECT_TRUE(memory.is_changed(0, 0, 3 * kPageSize));
  EXPECT_TRUE(memory.is_changed(0, 2 * kPageSize, 3 * kPageSize));
  EXPECT_FALSE(memory.is_changed(0, 3 * kPageSize, 4 * kPageSize));
  EXPECT_FALSE(memory.is_changed(1, 0, 2 * kPageSize)) << "another segment";
  ASSERT_TRUE(memory.write(Gpa(kHigh), ByteVector(1, std::byte{7})));
  EXPECT_TRUE(memory.is_changed(1, 0, kPageSize));
  EXPECT_FALSE(memory.is_changed(0, 3 * kPageSize, 4 * kPageSize)) << "the next one is of another segment";
}

TEST(OverlaidMemory, TakesNoPageForChangedThatHasTheSameBytes) {
  const Ram ram = two_segments();
  OverlaidMemory memory = ram.overlay();
  ASSERT_TRUE(memory.write(Gpa(10), ByteVector(kPageSize, std::byte{1})));
  EXPECT_FALSE(memory.is_changed(0, 0, 4 * kPageSize));
  ByteVector half(2 * kPageSize, std::byte{1});
  half.back() = std::byte{3};
  ASSERT_TRUE(memory.write(Gpa(0), half));
  EXPECT_FALSE(memory.is_changed(0, 0, kPageSize));
  EXPECT_TRUE(memory.is_changed(0, kPageSize, 2 * kPageSize));
}

TEST(OverlaidMemory, PutsTheChangedPagesOfARangeIntoIt) {
  const Ram ram = two_segments();
  OverlaidMemory memory = ram.overlay();
  ASSERT_TRUE(memory.write(Gpa(0), ByteVector(1, std::byte{7})));
  ASSERT_TRUE(memory.write(Gpa(3 * kPageSize - 1), ByteVector(2, std::byte{8})));
  ByteVector range(2 * kPageSize, std::byte{1});  // pages 1 and 2
  memory.apply(0, kPageSize, range);
  EXPECT_EQ(range.back(), std::byte{8});
  range.back() = std::byte{1};
  EXPECT_THAT(range, Each(std::byte{1})) << "pages before and behind the range do not count";
}

TEST(OverlaidMemory, PassesOnThatAFileCannotBeRead) {
  OverlaidMemory memory({{Gpa(0), kPageSize, 0}},
                        [](std::uint32_t, std::uint64_t, MutableByteView) -> Result<void> {
                          return Error(ErrorKind::kIo, "the disk is gone");
                        });
  const auto read = memory.read(Gpa(0), 1);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kIo);
  EXPECT_FALSE(memory.write(Gpa(0), ByteVector(1)));
  EXPECT_FALSE(memory.is_changed(0, 0, kPageSize));
}

TEST(OverlaidMemory, ReadsNothingForNoBytes) {
  const Ram ram = two_segments();
  const OverlaidMemory memory = ram.overlay();
  const auto none = memory.read(Gpa(4 * kPageSize), 0);
  ASSERT_TRUE(none) << none.error().to_string();
  EXPECT_TRUE(none->empty());
  EXPECT_EQ(ram.reads, 0);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
