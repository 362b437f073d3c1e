// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "run_tool.h"
#include "sample_snapshot.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Diff : public ::testing::Test {
 protected:
  void SetUp() override { write_sample(left_); }

  /// Writes a sample that `change` has been at.
  void write_right(void (*change)(Sample&)) {
    Sample sample = make_sample();
    change(sample);
    write_sample(right_, sample.contents);
  }

  TempDir dir_;
  std::string left_ = dir_.file("left.vmsnap");
  std::string right_ = dir_.file("right.vmsnap");
};

TEST_F(Diff, FindsNoDifferenceBetweenTwoEncodingsOfTheSame) {
  ASSERT_EQ(run_tool({"repack", "--compress", "lz4", left_, right_}).status, 0);
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, 0) << run.out;
  EXPECT_THAT(run.out, HasSubstr("no difference"));
  const Json json = run_tool({"diff", "--json", left_, right_}).json();
  EXPECT_EQ(json["compared"], "7");  // manifest, memory map and five devices
  EXPECT_TRUE(json["parts"].empty());
  EXPECT_TRUE(json["memory"].empty());
}

TEST_F(Diff, NamesTheFieldOfADeviceItHasNeverHeardOf) {
  write_right([](Sample& sample) { sample.contents.device_states[kWormhole] = make_wormhole_state(5); });
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.out, HasSubstr("(wormhole 7.3)\n"));
  EXPECT_THAT(run.out, HasSubstr(" -> 5"));
  const Json json = run_tool({"diff", "--json", left_, right_}).json();
  ASSERT_EQ(json["parts"].size(), 1u);
  EXPECT_EQ(json["parts"][0]["type"], "wormhole");
  EXPECT_EQ(json["parts"][0]["left_version"], "7.3");
  EXPECT_EQ(json["parts"][0]["count"], std::to_string(json["parts"][0]["fields"].size()));
}

TEST_F(Diff, ShowsWhatTheManifestSaysDifferently) {
  write_right([](Sample& sample) {
    sample.contents.manifest.comment = "another";
    sample.contents.manifest.devices[kDisk].slots[0].hint = "/elsewhere";
  });
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.out, HasSubstr("-> \"another\""));
  EXPECT_THAT(run.out, HasSubstr("manifest: slots: "));
  EXPECT_THAT(run.out, HasSubstr("=/elsewhere"));
}

TEST_F(Diff, NamesDevicesThatOneFileDoesNotHave) {
  write_right([](Sample& sample) {
    sample.contents.manifest.devices.pop_back();
    sample.contents.device_states.pop_back();
  });
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.out, HasSubstr("(wormhole 7.3 -> (not there))"));
  EXPECT_THAT(run_tool({"diff", right_, left_}).out, HasSubstr("(wormhole (not there) -> 7.3)"));
}

TEST_F(Diff, FindsMemoryByItsExtentsWithoutReadingIt) {
  write_right([](Sample& sample) { sample.low_memory[40'000] = std::byte{0x77}; });
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.out, HasSubstr("1 of 1 extent of 256 KiB differ"));
  EXPECT_THAT(run.out, HasSubstr("  0x0-0xffff: 64 KiB\n"));
  const Json memory = run_tool({"diff", "--json", left_, right_}).json()["memory"];
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0]["different"], "1");
  EXPECT_EQ(memory[0]["ranges"][0]["size"], "65536");
}

TEST_F(Diff, SaysWhenSegmentsAreNotOfOneSize) {
  write_right([](Sample& sample) {
    sample.low_memory.resize(sample.low_memory.size() + 4096);
    sample.contents.segments[0].bytes = sample.low_memory;
    sample.contents.memory_map.segments[0].size += 4096;
    sample.contents.memory_map.mappings[0].size += 4096;
  });
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitFindings);
  EXPECT_THAT(run.out, HasSubstr("it has 64 KiB (65536 bytes) in the first file and 68 KiB"));
  EXPECT_THAT(run.out, Not(HasSubstr("extent")));
}

TEST_F(Diff, NamesTheFileThatCannotBeRead) {
  write_sample(right_);
  flip_byte(right_, 200);
  const ToolRun run = run_tool({"diff", left_, right_});
  EXPECT_EQ(run.status, kExitCorrupt);
  EXPECT_THAT(run.err, HasSubstr(right_));
  EXPECT_EQ(run_tool({"diff", dir_.file("none"), left_}).status, kExitFailure);
  EXPECT_EQ(run_tool({"diff", left_}).status, kExitUsage);
}

}  // namespace
}  // namespace vmsnap::snaptool
