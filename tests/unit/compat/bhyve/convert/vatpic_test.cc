// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kPath = "isa0/i8259@20";

MappingRun run_of(const ItemValues& items) {
  return MappingRun("vatpic", "A", {}, items);
}

/// Both chips after the initialisation of a PC: the pin of the lowest priority is 7.
ItemValues ready() {
  return {{"pic[0].ready", 1u}, {"pic[0].lowprio", 7u}, {"pic[1].ready", 1u}, {"pic[1].lowprio", 7u}};
}

TEST(Vatpic, GoesToTheRegistersOfBothChips) {
  ItemValues items = ready();
  items["pic[0].rd_cmd_reg"] = 1u;
  items["pic[0].aeoi"] = 1u;
  items["pic[0].sfn"] = 1u;
  items["pic[0].irq_base"] = 0x30u;
  items["pic[0].request"] = 0x11u;
  items["pic[0].service"] = 0x22u;
  items["pic[0].mask"] = 0xb8u;
  items["pic[0].acnt"] = array_of(4, {1, 0, 0, 0, 0, 0, 0, 1});
  items["pic[1].poll"] = 1u;
  items["pic[1].rotate"] = 1u;
  items["pic[1].irq_base"] = 0x38u;
  items["pic[1].smm"] = 1u;
  items["pic[1].lowprio"] = 2u;
  items["elc"] = bytes_of({0x08, 0x0e});
  auto run = run_of(items);
  // bhyve's own note of whether it has raised INTR is no register.
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("pic[0].intr_raised", "pic[1].intr_raised"));
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  const auto flag = [&](std::string_view path) { return run.field<bool>(kPath, path); };
  EXPECT_EQ(number("primary.irr"), 0x11u);
  EXPECT_EQ(number("primary.isr"), 0x22u);
  EXPECT_EQ(number("primary.imr"), 0xb8u);
  EXPECT_EQ(number("primary.input_level"), 0x81u);
  EXPECT_EQ(number("primary.vector_base"), 0x30u);
  EXPECT_EQ(number("primary.initialisation_step"), 0u);
  EXPECT_EQ(number("primary.highest_priority_pin"), 0u);
  EXPECT_EQ(number("primary.elcr"), 0x08u);
  EXPECT_TRUE(flag("primary.icw4_needed"));
  EXPECT_TRUE(flag("primary.auto_eoi"));
  EXPECT_TRUE(flag("primary.special_fully_nested"));
  EXPECT_TRUE(flag("primary.read_isr"));
  EXPECT_FALSE(flag("primary.poll"));
  EXPECT_FALSE(flag("primary.special_mask"));
  EXPECT_EQ(number("secondary.vector_base"), 0x38u);
  EXPECT_EQ(number("secondary.highest_priority_pin"), 3u);
  EXPECT_EQ(number("secondary.elcr"), 0x0eu);
  EXPECT_TRUE(flag("secondary.poll"));
  EXPECT_TRUE(flag("secondary.rotate_on_auto_eoi"));
  EXPECT_TRUE(flag("secondary.special_mask"));
  EXPECT_FALSE(flag("secondary.read_isr"));
}

TEST(Vatpic, WaitsForTheInitialisationWordThatBhyveWaitsFor) {
  ItemValues items = ready();
  items["pic[1].ready"] = 0u;
  items["pic[1].icw_num"] = 3u;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("pic[0].intr_raised", "pic[1].intr_raised"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "secondary.initialisation_step"), 3u);
}

TEST(Vatpic, KeepsThatAChipWasNeverInitialised) {
  ItemValues items = ready();
  items["pic[0].ready"] = 0u;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("pic[0].ready", "pic[0].intr_raised", "pic[1].intr_raised"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "primary.initialisation_step"), 0u);
}

TEST(Vatpic, KeepsWhatNoChipCanHave) {
  auto run = run_of({{"pic[0].ready", 2u},
                     {"pic[0].icw_num", 0xffffffffu},
                     {"pic[0].rd_cmd_reg", 2u},
                     {"pic[0].irq_base", 0x130u},
                     {"pic[0].smm", 0x20u},
                     {"pic[0].acnt", array_of(4, {2, 0xffffffff, 1, 0, 0, 0, 0, 0})},
                     {"pic[0].lowprio", 0x80000000u},
                     {"pic[1].ready", 1u},
                     {"pic[1].lowprio", 0xffffffffu}});
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("pic[0].ready", "pic[0].icw_num", "pic[0].rd_cmd_reg", "pic[0].irq_base",
                          "pic[0].smm", "pic[0].acnt", "pic[0].lowprio", "pic[0].intr_raised",
                          "pic[1].lowprio", "pic[1].intr_raised"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "primary.input_level"), 0x5u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "secondary.highest_priority_pin"), 0u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
