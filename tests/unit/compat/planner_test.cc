// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "toy.h"

namespace vmsnap::compat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr ChunkVersion k10{1, 0}, k11{1, 1}, k20{2, 0}, k21{2, 1}, k30{3, 0};

Result<void> nothing(StepContext&) {
  return {};
}

class PlannerTest : public testing::Test {
 protected:
  [[nodiscard]] Result<Planner> with(const std::vector<Step>& steps) const {
    return Planner::create(toy_.types(), steps);
  }
  void expect_bug(const std::vector<Step>& steps, const char* what) const {
    const auto planner = with(steps);
    ASSERT_FALSE(planner);
    EXPECT_EQ(planner.error().kind(), ErrorKind::kInternal);
    EXPECT_THAT(planner.error().message(), HasSubstr(what));
  }

  const Toy& toy_ = Toy::instance();
};

TEST_F(PlannerTest, PassesEveryVersionBetween) {
  const auto planner = with(toy_registry().steps);
  ASSERT_TRUE(planner) << planner.error().to_string();
  EXPECT_THAT(*planner->plan("toy", k10, k30), ElementsAre(k10, k11, k20, k21, k30));
  EXPECT_THAT(*planner->plan("toy", k30, k10), ElementsAre(k30, k21, k20, k11, k10));
  EXPECT_THAT(*planner->plan("toy", k11, k10), ElementsAre(k11, k10));
  EXPECT_THAT(*planner->plan("toy", k20, k20), ElementsAre(k20));
  EXPECT_NE(planner->find("toy", k11, k20), nullptr);
  EXPECT_EQ(planner->find("toy", k10, k11), nullptr);
}

TEST_F(PlannerTest, GoesBackAMinorWhereTheStepWasWrittenBeforeIt) {
  const auto planner = with({{"toy", k10, k20, nothing}, {"toy", k20, k10, nothing}});
  ASSERT_TRUE(planner);
  EXPECT_THAT(*planner->plan("toy", k11, k20), ElementsAre(k11, k10, k20));
  EXPECT_THAT(*planner->plan("toy", k20, k11), ElementsAre(k20, k10, k11));
}

TEST_F(PlannerTest, SaysWhereNoStepLeadsOn) {
  const auto planner = with({{"toy", k11, k20, nothing}});
  ASSERT_TRUE(planner);
  for (const auto& [from, to] : {std::pair{k10, k30}, std::pair{k20, k10}}) {
    const auto way = planner->plan("toy", from, to);
    ASSERT_FALSE(way);
    EXPECT_EQ(way.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(way.error().message(), HasSubstr("no step leads toy from version 2.0 to " + to_string(to)));
  }
  const auto unknown = planner->plan("toy", k10, {1, 7});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kUnsupported);
  EXPECT_FALSE(planner->plan("wormhole", k10, k10));
  EXPECT_TRUE(planner->versions("wormhole").empty());
}

TEST_F(PlannerTest, RefusesStepsThatMakeTheWayAmbiguous) {
  expect_bug({{"toy", k11, k20, nothing}, {"toy", k10, k20, nothing}}, "ambiguous");
  expect_bug({{"toy", k11, k10, nothing}, {"toy", k11, k10, nothing}}, "ambiguous");
}

TEST_F(PlannerTest, RefusesStepsThatLeadNowhere) {
  expect_bug({{"toy", k11, {2, 5}, nothing}}, "without a frozen schema");
  expect_bug({{"wormhole", k10, k11, nothing}}, "without a frozen schema");
  expect_bug({{"toy", k11, k30, nothing}}, "neighbour");
  expect_bug({{"toy", k11, k11, nothing}}, "neighbour");
  expect_bug({{"toy", k11, k20, nullptr}}, "no function");
}

}  // namespace
}  // namespace vmsnap::compat
