// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/temp_dir.h"
#include "run_tool.h"
#include "snapshot/provenance.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A real guest of level 1 with two disks, made by a release of that level.
constexpr const char* kLevel1 = VMSNAP_COMPAT_GOLDEN_FOLDER "/level1-two-disks.vmsnap";

class Migrate : public ::testing::Test {
 protected:
  TempDir dir_;
  std::string to_ = dir_.file("to.vmsnap");
  const std::string current_ = std::to_string(run_tool({"levels", "--json"}).json()["current"].get<int>());
};

TEST_F(Migrate, GoesUpToTheLevelOfThisBuildAndDownAgain) {
  const ToolRun up = run_tool({"migrate", kLevel1, to_, "--to-level", current_});
  ASSERT_EQ(up.status, 0) << up.out << up.err;
  EXPECT_EQ(run_tool({"check", to_}).status, 0);
  EXPECT_EQ(run_tool({"info", "--json", to_}).json()["release_level"].dump(), current_);
  EXPECT_EQ(memory_digest(to_), memory_digest(kLevel1));
  const std::string down = dir_.file("down.vmsnap");
  ASSERT_EQ(run_tool({"migrate", to_, down, "--to-level", "1"}).status, 0);
  // Since level 3 a counter's time is told in pulses of its clock, so a fraction of one (838 ns) is gone.
  const Json diff = run_tool({"diff", "--json", kLevel1, down}).json();
  for (const Json& part : diff["parts"]) {
    EXPECT_EQ(part["type"], "i8254") << part;
    for (const Json& field : part["fields"]) {
      EXPECT_THAT(field["field"].get<std::string>(), HasSubstr(".elapsed"));
      const auto number = [&](const char* side) { return std::stoll(field[side].get<std::string>()); };
      EXPECT_LE(number("left") - number("right"), 838) << field;
      EXPECT_GE(number("left"), number("right")) << field;
    }
  }
  EXPECT_EQ(std::filesystem::status(down).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(Migrate, HasLevelsThatNameEveryTypeOnceOrSayThatItHasNone) {
  const Json levels = run_tool({"levels", "--json"}).json();
  const std::string text = run_tool({"levels"}).out;
  const auto& newest = levels["levels"].back()["chunks"];
  std::size_t without = 0;
  for (const auto& [type, versions] : levels["versions"].items()) {
    const auto& others = levels["without_level"];
    const bool in_none = std::find(others.begin(), others.end(), type) != others.end();
    EXPECT_NE(newest.contains(type), in_none) << type;
    EXPECT_THAT(text, HasSubstr((in_none ? " " : "\n") + type)) << text;
    without += in_none ? 1 : 0;
  }
  EXPECT_EQ(levels["without_level"].size(), without);
  EXPECT_THAT(text, HasSubstr("\nin no level, since snapvmm does not emulate them: ahci bhyve_private "));
}

TEST_F(Migrate, SaysInTheFileWhereItComesFrom) {
  ASSERT_EQ(run_tool({"migrate", kLevel1, to_, "--to-level", current_}).status, 0);
  const std::string down = dir_.file("down.vmsnap");
  ASSERT_EQ(run_tool({"migrate", to_, down, "--to-level", "1"}).status, 0);
  const Json info = run_tool({"info", "--json", down}).json();
  ASSERT_EQ(info["migrations"].size(), 2u);
  const Json original = run_tool({"info", "--json", kLevel1}).json();
  EXPECT_EQ(info["migrations"][0]["source_uuid"], original["uuid"]);
  EXPECT_EQ(info["migrations"][0]["source_root"], original["root"]);
  EXPECT_EQ(info["migrations"][0]["from_level"], 1);
  EXPECT_EQ(info["migrations"][1]["to_level"], 1);
  EXPECT_EQ(info["migrations"][1]["source_uuid"], run_tool({"info", "--json", to_}).json()["uuid"]);
  EXPECT_TRUE(info["findings"].empty()) << info["findings"];
  EXPECT_THAT(run_tool({"info", down}).out, HasSubstr("by snaptool " VMSNAP_VERSION));
  EXPECT_THAT(run_tool({"show", down, "provenance.migrations[1].tool"}).out, HasSubstr("snaptool"));
  // Another tool that copies the file keeps it.
  const std::string repacked = dir_.file("repacked.vmsnap");
  ASSERT_EQ(run_tool({"repack", down, repacked}).status, 0);
  EXPECT_EQ(run_tool({"info", "--json", repacked}).json()["migrations"], info["migrations"]);
}

TEST_F(Migrate, KeepsTheEncodingOfMemoryAndTheHolesOfTheFile) {
  const std::string flat = dir_.file("flat.vmsnap");
  ASSERT_EQ(run_tool({"repack", "--encoding", "flat", kLevel1, flat}).status, 0);
  const ToolRun run = run_tool({"migrate", flat, to_, "--to-level", current_, "--json"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.json()["report"]["to_level"].dump(), current_);
  EXPECT_EQ(run.json()["migrated"], to_);
  const Json before = run_tool({"info", "--json", flat}).json();
  const Json after = run_tool({"info", "--json", to_}).json();
  EXPECT_EQ(after["segments"], before["segments"]);
  EXPECT_EQ(after["root"], run.json()["root"]);
  EXPECT_LT(std::stoull(after["allocated_size"].get<std::string>()), 4u << 20)
      << "32 MiB of memory, mostly zero";
  EXPECT_EQ(run_tool({"check", to_}).status, 0);
  EXPECT_EQ(memory_digest(to_), memory_digest(kLevel1));
}

TEST_F(Migrate, ReplacesTheFileThatItReads) {
  std::filesystem::copy_file(kLevel1, to_);
  ASSERT_EQ(run_tool({"migrate", to_, to_, "--to-level", current_}).status, 0);
  EXPECT_EQ(run_tool({"check", to_}).status, 0);
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Migrate, WritesNothingWhenItOnlyLooks) {
  const ToolRun run = run_tool({"migrate", kLevel1, "--to-level", current_, "--dry-run"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("can be migrated; nothing was written"));
  EXPECT_EQ(dir_.file_count(), 0u);
}

TEST_F(Migrate, WarnsOfALossThatIsAllowedAndDoesNotHappen) {
  const ToolRun run =
      run_tool({"migrate", kLevel1, to_, "--to-level", "1", "--allow-loss", "isa0/uart@3f8.nonsense"});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.err, HasSubstr("--allow-loss isa0/uart@3f8.nonsense has allowed nothing"));
  EXPECT_TRUE(std::filesystem::exists(to_));
}

TEST_F(Migrate, RefusesALevelThatIsNotThereAndACommandLineThatIsOff) {
  const ToolRun level = run_tool({"migrate", kLevel1, to_, "--to-level", "4711"});
  EXPECT_EQ(level.status, kExitUsage);
  EXPECT_THAT(level.err, HasSubstr("there is no level 4711"));
  EXPECT_EQ(run_tool({"migrate", kLevel1, to_, "--to-level", "0"}).status, kExitUsage);
  EXPECT_EQ(run_tool({"migrate", kLevel1, to_}).status, kExitUsage);
  EXPECT_EQ(run_tool({"migrate", kLevel1, "--to-level", "1"}).status, kExitUsage);
  EXPECT_EQ(run_tool({"migrate", kLevel1, to_, "--to-level", "1", "--allow-loss", "nodots"}).status,
            kExitUsage);
  EXPECT_EQ(dir_.file_count(), 0u);
}

TEST_F(Migrate, LeavesNothingBehindWhenTheFileIsDamaged) {
  std::string damaged = dir_.file("damaged.vmsnap");
  std::filesystem::copy_file(kLevel1, damaged);
  std::filesystem::resize_file(damaged, std::filesystem::file_size(damaged) - 100);
  const ToolRun run = run_tool({"migrate", damaged, to_, "--to-level", "1"});
  EXPECT_EQ(run.status, kExitCorrupt);
  EXPECT_THAT(run.err, HasSubstr(damaged));
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Migrate, RefusesAFileWithAFeatureThatNoLevelHas) {
  const ToolRun run =
      run_tool({"migrate", VMSNAP_GOLDEN_FOLDER "/good/small.vmsnap", to_, "--to-level", current_});
  EXPECT_EQ(run.status, kExitUnsupported);
  EXPECT_THAT(run.err, HasSubstr("alarm"));
  EXPECT_EQ(dir_.file_count(), 0u);
}

}  // namespace
}  // namespace vmsnap::snaptool
