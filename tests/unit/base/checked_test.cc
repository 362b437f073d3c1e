// SPDX-License-Identifier: BSD-2-Clause
#include "base/checked.h"

#include <gtest/gtest.h>

namespace vmsnap {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(Checked, AdditionReportsOverflowAndNothingElse) {
  EXPECT_EQ(checked_add(kMax - 1, std::uint64_t{1}), kMax);
  EXPECT_EQ(checked_add(kMax, std::uint64_t{1}), std::nullopt);
}

TEST(Checked, MultiplicationReportsOverflowAndNothingElse) {
  EXPECT_EQ(checked_mul(std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 1),
            kMax - ((std::uint64_t{1} << 32) - 1));
  EXPECT_EQ(checked_mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt);
}

TEST(Checked, AligningUpKeepsAlignedValuesAndReportsOverflow) {
  EXPECT_EQ(checked_align_up(std::uint64_t{4096}, std::uint64_t{4096}), 4096u);
  EXPECT_EQ(checked_align_up(std::uint64_t{4097}, std::uint64_t{4096}), 8192u);
  EXPECT_EQ(checked_align_up(kMax, std::uint64_t{64}), std::nullopt);
}

TEST(Checked, CastRefusesWhatDoesNotFit) {
  EXPECT_EQ(checked_cast<std::uint8_t>(255), 255);
  EXPECT_EQ(checked_cast<std::uint8_t>(256), std::nullopt);
  EXPECT_EQ(checked_cast<std::uint32_t>(-1), std::nullopt);
}

}  // namespace
}  // namespace vmsnap
