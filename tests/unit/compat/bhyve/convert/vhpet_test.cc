// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAreArray;

TEST(Vhpet, GoesToTheRegistersOfTheHpet) {
  MappingRun run("vhpet", "A", {},
                 {{"freq_sbt", 256u},
                  {"config", 3u},
                  {"isr", 0x81u},
                  {"countbase", 0xfedcba98u},
                  {"timer[7].cap_config", 0xff000000'00008024u},
                  {"timer[7].msireg", 0xfee00000'00000041u},
                  {"timer[7].compval", 0x80000000u},
                  {"timer[7].comprate", 16777u}});
  std::vector<std::string> callouts;
  for (int i = 0; i < 8; ++i) callouts.push_back("timer[" + std::to_string(i) + "].callout_sbt");
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAreArray(callouts));
  constexpr std::string_view kPath = "system0/hpet@fed00000";
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  EXPECT_EQ(number("base"), 0xfed00000u);
  EXPECT_EQ(number("capabilities"), 0x038d7ea4'80860701u);
  EXPECT_EQ(number("configuration"), 3u);
  EXPECT_EQ(number("interrupt_status"), 0x81u);
  EXPECT_EQ(number("main_counter"), 0xfedcba98u);
  ASSERT_EQ(run.machine().find(kPath)->count("timers").value(), 8u);
  EXPECT_EQ(number("timers[7].configuration"), 0xff000000'00008024u);
  EXPECT_EQ(number("timers[7].fsb_route"), 0xfee00000'00000041u);
  EXPECT_EQ(number("timers[7].comparator"), 0x80000000u);
  EXPECT_EQ(number("timers[7].period"), 16777u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
