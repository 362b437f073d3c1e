// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kPath = "system0/ioapic@fec00000";
constexpr std::uint64_t kLevel = 0x8000;
constexpr std::uint64_t kIdle = 0x0001'0000'0001'0000;

MappingRun run_of(const ItemValues& items) {
  return MappingRun("vioapic", "A", {}, items);
}

TEST(Vioapic, GoesToTheRegistersOfTheIoapic) {
  ItemValues items = {{"ioregsel", 0x10u}, {"pin[4].reg", kLevel | 0x31}, {"pin[4].acnt", 1u}};
  items["pin[31].reg"] = kLevel | 0x0300'0000'0000'0041;
  items["pin[31].acnt"] = 1u;
  items["pin[5].reg"] = kIdle;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "base"), 0xfec00000u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "id"), 0u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "ioregsel"), 0x10u);
  const auto table = run.field<std::vector<std::uint64_t>>(kPath, "redirection_table");
  ASSERT_EQ(table.size(), 32u);
  EXPECT_EQ(table[4], 0x8031u);
  EXPECT_EQ(table[5], kIdle);
  EXPECT_EQ(table[31], 0x0300'0000'0000'8041u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "irr"), 0x8000'0010u);
  EXPECT_THAT(run.not_in_file(), ElementsAre("id"));
}

TEST(Vioapic, KeepsTheLevelOfAnEdgePinAndCountsAboveOne) {
  auto run = run_of({{"pin[1].reg", 0x30u},
                     {"pin[1].acnt", 1u},
                     {"pin[2].reg", kLevel},
                     {"pin[2].acnt", 3u},
                     {"pin[3].reg", kLevel},
                     {"pin[3].acnt", 0xffffffffu}});
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("pin[1].acnt", "pin[2].acnt", "pin[3].acnt"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "irr"), 0x4u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
