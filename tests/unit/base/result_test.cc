// SPDX-License-Identifier: BSD-2-Clause
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace vmsnap {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return Error(ErrorKind::kUsage, "the number is odd; give an even one");
  return value / 2;
}

Result<std::string> quarter_as_text(int value) {
  VMSNAP_ASSIGN_OR_RETURN(const int first, half(value));
  VMSNAP_ASSIGN_OR_RETURN(const int second, half(first));
  return std::to_string(second);
}

Result<void> require_even(int value) {
  VMSNAP_RETURN_IF_ERROR(half(value));
  return {};
}

TEST(Result, CarriesAValueThroughAChainOfCalls) {
  EXPECT_EQ(quarter_as_text(12).value(), "3");
}

TEST(Result, CarriesTheFirstErrorOutOfAChainOfCalls) {
  const auto result = quarter_as_text(6);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kUsage);
}

TEST(Result, WithoutAValueIsSuccessOrAnError) {
  EXPECT_TRUE(require_even(2));
  EXPECT_FALSE(require_even(3));
}

TEST(Result, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

}  // namespace
}  // namespace vmsnap
