// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(Vpmtmr, IsTheTimerOfAcpiAndNothingElseOfIt) {
  MappingRun run("vpmtmr", "A", {}, {{"baseval", 0xfedcba98u}});
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  constexpr std::string_view kPath = "isa0/acpi_pm@400";
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "pm_timer"), 0xfedcba98u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "pm1_control"), 1u);
  EXPECT_THAT(run.not_in_file(), SizeIs(2));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
