// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include "state_fixture.h"

namespace vmsnap::compat {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChunkVersion k10{1, 0}, k11{1, 1};

class AcpiPmSteps : public StateFixture {
 protected:
  AcpiPmSteps() : StateFixture("acpi_pm") {}

  StateTree running(ChunkVersion version) {
    StateTree tree = empty(version);
    set(tree, "pm1_status", 0x0101);
    set(tree, "pm1_enable", 0x0120);
    set(tree, "pm1_control", 0x0001);
    set(tree, "pm_timer", 150'340'890u);
    return tree;
  }
  void expect_running(const StateTree& tree) {
    EXPECT_EQ(get<std::uint16_t>(tree, "pm1_status"), 0x0101);
    EXPECT_EQ(get<std::uint16_t>(tree, "pm1_enable"), 0x0120);
    EXPECT_EQ(get<std::uint16_t>(tree, "pm1_control"), 0x0001);
    EXPECT_EQ(get<std::uint32_t>(tree, "pm_timer"), 150'340'890u);
  }
};

TEST_F(AcpiPmSteps, GiveAnOldStateNoGeneralPurposeEvents) {
  const auto up = convert(running(k10), k10, k11, {}, {}, {"gpe0"});
  ASSERT_TRUE(up) << up.error().to_string();
  const StateTree state = state_of(*up);
  expect_running(state);
  EXPECT_EQ(get<std::uint16_t>(state, "gpe0_status"), 0);
  EXPECT_EQ(get<std::uint16_t>(state, "gpe0_enable"), 0);
  EXPECT_THAT(carried(up->report), ElementsAre("pm1_status", "pm1_enable", "pm1_control", "pm_timer"));
  EXPECT_THAT(changes(up->report), ElementsAre("defaulted gpe0_enable", "defaulted gpe0_status"));
  EXPECT_THAT(up->converted->device.features, IsEmpty());
}

TEST_F(AcpiPmSteps, LoseNothingOfAGuestThatUsesNoGeneralPurposeEvents) {
  const auto down = convert(running(k11), k11, k10);
  ASSERT_TRUE(down) << down.error().to_string();
  expect_running(state_of(*down));
  EXPECT_THAT(carried(down->report), ElementsAre("pm1_status", "pm1_enable", "pm1_control", "pm_timer"));
  EXPECT_THAT(changes(down->report), IsEmpty());
  EXPECT_EQ(down->converted->device.version, k10);
  EXPECT_EQ(down->converted->device.readable_since, k10);
}

TEST_F(AcpiPmSteps, RefuseToLoseEventsByNameValueAndConsequence) {
  StateTree tree = running(k11);
  set(tree, "gpe0_status", 0x0002);
  set(tree, "gpe0_enable", 0x0006);
  const auto down = convert(tree, k11, k10, {"gpe0"});
  ASSERT_TRUE(down);
  EXPECT_FALSE(down->converted);
  EXPECT_THAT(changes(down->report), ElementsAre("lost gpe0_enable", "lost gpe0_status"));
  EXPECT_THAT(refusal(down->report).to_string(),
              AllOf(HasSubstr("isa0/device@1.gpe0_status = 0x2"), HasSubstr("never hears of"),
                    HasSubstr("isa0/device@1.gpe0_enable = 0x6"), HasSubstr("is told of none")));
}

TEST_F(AcpiPmSteps, DropTheFeatureWithTheEventsThatMayBeLost) {
  StateTree tree = running(k11);
  set(tree, "gpe0_enable", 0x0006);
  const auto allowed = AllowedLosses::parse({"isa0/device@1.gpe0_enable"});
  ASSERT_TRUE(allowed);
  const auto down = convert(tree, k11, k10, {"gpe0"}, *allowed);
  ASSERT_TRUE(down);
  expect_running(state_of(*down));
  EXPECT_THAT(down->converted->device.features, IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat
