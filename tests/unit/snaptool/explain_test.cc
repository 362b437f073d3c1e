// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "run_tool.h"
#include "sample_snapshot.h"

namespace vmsnap::snaptool {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ToolRun explain(const std::string& path, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"explain", "--for", "snapvmm", path};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_tool(arguments);
}

std::string golden(const std::string& name) {
  return std::string(VMSNAP_COMPAT_GOLDEN_FOLDER) + "/" + name + ".vmsnap";
}

TEST(Explain, SaysOfWhatSnapvmmSavedThatItCanBeTakenOverAsAWhole) {
  for (const std::string level : {"level1", "level2", "level3"}) {
    for (const char* machine : {"one-cpu", "two-cpus-disk", "two-disks"}) {
      const ToolRun run = explain(golden(level + "-" + machine));
      EXPECT_EQ(run.status, 0) << run.out << run.err;
      EXPECT_THAT(run.out, HasSubstr("snapvmm can take over the whole machine, "));
    }
  }
}

TEST(Explain, NamesEachDeviceThatCannotBeTakenOverAndEachThatIsMissing) {
  const TempDir dir;
  write_sample(dir.file("sample.vmsnap"));
  const ToolRun run = explain(dir.file("sample.vmsnap"));
  EXPECT_EQ(run.status, 5);
  EXPECT_THAT(run.out, AllOf(HasSubstr("yes  cpu0 "), HasSubstr("no   void0 "),
                             HasSubstr("snapvmm does not emulate it"),
                             HasSubstr("the snapshot has 0 of it, and snapvmm runs a machine with 1"),
                             HasSubstr("speak against it")));
}

TEST(Explain, TellsTheSameAsJson) {
  const ToolRun run = explain(golden("level3-one-cpu"), {"--json"});
  EXPECT_EQ(run.status, 0);
  const Json json = run.json();
  EXPECT_EQ(json["for"], "snapvmm");
  EXPECT_EQ(json["can"], true);
  ASSERT_FALSE(json["devices"].empty());
  for (const Json& device : json["devices"]) {
    EXPECT_EQ(device["can"], true);
    EXPECT_TRUE(device["device"].is_string());
    EXPECT_EQ(device["why"], "snapvmm has it");
    EXPECT_TRUE(device["chunks"].empty());
  }
}

TEST(Explain, KnowsNoOtherMonitorAndNoAssumptionAboutOtherFiles) {
  EXPECT_EQ(run_tool({"explain", "--for", "qemu", golden("level3-one-cpu")}).status, 2);
  EXPECT_EQ(run_tool({"explain", golden("level3-one-cpu")}).status, 2);
  const ToolRun run = explain(golden("level3-one-cpu"), {"--assume", "prefix=A"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("--assume is for the snapshots of bhyve"));
}

}  // namespace
}  // namespace vmsnap::snaptool
