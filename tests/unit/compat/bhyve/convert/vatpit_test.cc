// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr std::string_view kPath = "isa0/i8254@40";
constexpr std::uint64_t kTick = 15'460'126'010'708;

MappingRun run_of(ItemValues items) {
  items.emplace("freq_bt.frac", kTick);
  return MappingRun("vatpit", "A", {}, items);
}

/// The paths that are always kept, and `initial` of a counter that was never loaded; `others` toggles.
auto kept(const std::vector<std::string>& others) {
  std::vector<std::string> paths;
  for (const std::string_view channel : {"ch0", "ch1", "ch2"}) {
    for (const std::string_view item :
         {"initial", "now_bt.sec", "now_bt.frac", "callout_bt.sec", "callout_bt.frac"}) {
      paths.push_back(std::string(channel) + "." + std::string(item));
    }
  }
  for (const std::string& path : others) {
    const auto found = std::find(paths.begin(), paths.end(), path);
    if (found == paths.end()) {
      paths.push_back(path);
    } else {
      paths.erase(found);
    }
  }
  return testing::UnorderedElementsAreArray(paths);
}

TEST(Vatpit, GoesToTheCounters) {
  auto run = run_of({{"ch0.mode", 4u},
                     {"ch0.initial", 0x2e9cu},
                     {"ch0.cr", bytes_of({0x9c, 0x2e})},
                     {"ch0.ol", bytes_of({0x12, 0x34})},
                     {"ch0.slatched", 1u},
                     {"ch0.status", 0xc0u},
                     {"ch2.mode", 6u},
                     {"ch2.initial", 0x1234u},
                     {"ch2.cr", bytes_of({0x56, 0x12})},
                     {"ch2.crbyte", 1u},
                     {"ch2.frbyte", 1u}});
  EXPECT_THAT(run.kept_after_both_ways(), kept({"ch0.initial", "ch2.initial"}));
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  const auto flag = [&](std::string_view path) { return run.field<bool>(kPath, path); };
  ASSERT_EQ(run.machine().find(kPath)->count("counters").value(), 3u);
  EXPECT_EQ(number("counters[0].count"), 11932u);
  EXPECT_EQ(number("counters[0].mode"), 2u);
  EXPECT_EQ(number("counters[0].access"), 3u);
  EXPECT_TRUE(flag("counters[0].gate"));
  EXPECT_EQ(number("counters[0].latched_count"), 0x1234u);
  EXPECT_FALSE(flag("counters[0].count_latched"));
  EXPECT_TRUE(flag("counters[0].status_latched"));
  EXPECT_EQ(number("counters[0].latched_status"), 0xc0u);
  EXPECT_FALSE(flag("counters[0].write_high_next"));
  EXPECT_EQ(run.field<std::optional<std::uint64_t>>(kPath, "counters[0].elapsed_pulses"), std::nullopt);
  EXPECT_EQ(run.field<std::optional<bool>>(kPath, "counters[0].output"), std::nullopt);
  EXPECT_EQ(number("counters[1].count"), 65536u);
  EXPECT_EQ(number("counters[1].access"), 0u);
  EXPECT_EQ(number("counters[2].count"), 0x1234u);
  EXPECT_EQ(number("counters[2].mode"), 3u);
  EXPECT_TRUE(flag("counters[2].write_high_next"));
  EXPECT_EQ(number("counters[2].write_low_byte"), 0x56u);
  EXPECT_TRUE(flag("counters[2].read_high_next"));
  EXPECT_THAT(run.not_in_file(), SizeIs(2));
}

TEST(Vatpit, TellsAWrittenZeroFromTheLargestCount) {
  auto run = run_of({{"ch0.mode", 4u},
                     {"ch0.initial", 0xffffu},
                     {"ch1.mode", 4u},
                     {"ch1.initial", 0xffffu},
                     {"ch1.cr", bytes_of({0xff, 0xff})},
                     {"ch2.mode", 4u},
                     {"ch2.initial", 0xffffu},
                     {"ch2.cr", bytes_of({0x42, 0x00})},
                     {"ch2.crbyte", 1u}});
  EXPECT_THAT(run.kept_after_both_ways(), kept({"ch0.initial", "ch1.initial", "ch2.initial"}));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "counters[0].count"), 65536u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "counters[1].count"), 65535u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "counters[2].count"), 65536u);
}

TEST(Vatpit, KeepsWhatNoCounterCanHave) {
  auto run = run_of({{"freq_bt.sec", 1u},
                     {"freq_bt.frac", 0u},
                     {"ch0.mode", 0x0cu},
                     {"ch1.mode", 0xffffffffu},
                     {"ch1.crbyte", 7u},
                     {"ch1.frbyte", 0xffffffffu},
                     {"ch1.slatched", 2u},
                     {"ch2.initial", 5u},
                     {"ch2.cr", bytes_of({1, 2})}});
  EXPECT_THAT(run.kept_after_both_ways(),
              kept({"freq_bt.sec", "freq_bt.frac", "ch0.mode", "ch1.mode", "ch1.crbyte", "ch1.frbyte",
                    "ch1.slatched", "ch2.initial", "ch2.cr"}));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "counters[0].mode"), 2u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "counters[1].mode"), 3u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
