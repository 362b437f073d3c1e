// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "base/temp_dir.h"
#include "format/chunk_header.h"
#include "run_tool.h"
#include "sample_snapshot.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::HasSubstr;

class Repack : public ::testing::Test {
 protected:
  void SetUp() override { write_sample(from_); }

  TempDir dir_;
  std::string from_ = dir_.file("a.vmsnap");
  std::string to_ = dir_.file("b.vmsnap");
};

TEST_F(Repack, ChangesTheEncodingOfMemoryAndNothingElse) {
  const std::vector<std::pair<std::vector<std::string>, std::pair<std::string, std::string>>> cases = {
      {{}, {"flat", "none"}},
      {{"--encoding", "extents"}, {"extents", "none"}},
      {{"--compress", "lz4"}, {"extents", "lz4"}},
      {{"--encoding", "extents", "--compress", "lz4", "--threads", "2"}, {"extents", "lz4"}},
      {{"--encoding", "flat", "--compress", "none"}, {"flat", "none"}},
  };
  const std::string shown = run_tool({"show", "--json", from_}).out;
  for (const auto& [options, expected] : cases) {
    std::vector<std::string> line = {"repack", from_, to_};
    line.insert(line.end(), options.begin(), options.end());
    const ToolRun run = run_tool(line);
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr("80 KiB of memory, of which 8 KiB are not zero"));
    const ToolRun checked = run_tool({"check", to_});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    EXPECT_EQ(memory_digest(to_), memory_digest(from_));
    const Json info = run_tool({"info", "--json", to_}).json();
    for (const Json& segment : info["segments"]) {
      EXPECT_EQ(segment["encoding"], expected.first);
      EXPECT_EQ(segment["compression"], expected.second);
    }
    EXPECT_EQ(run_tool({"show", "--json", to_}).out, shown);
    EXPECT_THAT(run_tool({"ls", to_}).out, HasSubstr("bootrom"));
  }
}

TEST_F(Repack, ShowsTheMetaOfMemoryInTheExtentsEncoding) {
  ASSERT_EQ(run_tool({"repack", from_, to_, "--encoding", "extents"}).status, 0);
  const auto reader = SnapshotReader::open(to_);
  ASSERT_TRUE(reader);
  const std::string name = reader->segment_chunks(0).front()->name();
  EXPECT_THAT(run_tool({"show", to_, name}).out, HasSubstr("runs"));
  EXPECT_EQ(run_tool({"show", "--json", to_, name + ".runs[0].kind"}).json(), "Zero");
  EXPECT_EQ(run_tool({"show", to_, name + ".extent_shift"}).out, "18\n");
}

TEST_F(Repack, PrintsWhatItDidAsJson) {
  const ToolRun run = run_tool({"repack", "--json", "--compress", "lz4", from_, to_});
  ASSERT_EQ(run.status, 0) << run.err;
  const Json report = run.json();
  EXPECT_EQ(report["file"], from_);
  EXPECT_EQ(report["repacked"], to_);
  EXPECT_EQ(report["file_size"], std::to_string(std::filesystem::file_size(to_)));
  EXPECT_EQ(report["memory_size"], "81920");
  EXPECT_EQ(report["memory_data"], "8192");
  EXPECT_EQ(report["uuid"], run_tool({"info", "--json", to_}).json()["uuid"]);
  EXPECT_NE(report["uuid"], run_tool({"info", "--json", from_}).json()["uuid"]);
  EXPECT_EQ(report["left_out"], Json::array());
}

TEST_F(Repack, MayTakeThePlaceOfTheOriginal) {
  const Json before = memory_digest(from_);
  ASSERT_EQ(run_tool({"repack", "--compress", "lz4", from_, from_}).status, 0);
  EXPECT_EQ(memory_digest(from_), before);
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Repack, SaysWhatItLeftOut) {
  add_unnamed_chunk(from_, dir_.file("optional.vmsnap"), 0);
  const ToolRun run = run_tool({"repack", dir_.file("optional.vmsnap"), to_});
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, HasSubstr("left out the optional chunk xNEW#"));
  EXPECT_EQ(run_tool({"check", to_}).status, 0);
  EXPECT_EQ(run_tool({"repack", "--json", dir_.file("optional.vmsnap"), to_}).json()["left_out"].size(), 1u);
}

TEST_F(Repack, RefusesAFileWithACriticalChunkThatItDoesNotKnow) {
  add_unnamed_chunk(from_, dir_.file("critical.vmsnap"), kChunkCritical);
  const ToolRun run = run_tool({"repack", dir_.file("critical.vmsnap"), to_});
  EXPECT_EQ(run.status, 5);
  EXPECT_THAT(run.err, HasSubstr("xNEW#"));
  EXPECT_EQ(dir_.file_count(), 2u);
}

TEST_F(Repack, LeavesNothingBehindWhenTheOriginalIsDamaged) {
  {
    const auto reader = SnapshotReader::open(from_);
    ASSERT_TRUE(reader);
    flip_byte(from_, reader->segment_chunks(0).front()->body_offset() + 0x5000);
  }
  const ToolRun run = run_tool({"repack", from_, to_});
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.err, HasSubstr(from_));
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Repack, LeavesNothingBehindWhenItIsInterrupted) {
  const std::atomic<bool> interrupted = true;
  const ToolRun run = run_tool({"repack", from_, to_}, {false, [&] { return &interrupted; }});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("cancelled"));
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Repack, AnswersAWrongCommandLineWithOneSentence) {
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"repack"},
        {"repack", from_},
        {"repack", from_, to_, "more"},
        {"repack", from_, to_, "--encoding", "flat", "--compress", "lz4"},
        {"repack", from_, to_, "--encoding", "round"},
        {"repack", from_, to_, "--compress", "zip"},
        {"repack", from_, to_, "--threads", "0"},
        {"repack", from_, "-", "--encoding", "flat"},
        {"repack", from_, "-", "--json"},
        {"recover", from_},
        {"recover", from_, from_}}) {
    const ToolRun run = run_tool(line);
    EXPECT_EQ(run.status, 2) << ::testing::PrintToString(line);
    EXPECT_EQ(run.err.find('\n'), run.err.size() - 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
  EXPECT_EQ(dir_.file_count(), 1u);
}

TEST_F(Repack, EndsWithOneWhenTheTargetCannotBeWritten) {
  const ToolRun run = run_tool({"repack", from_, dir_.file("absent/b.vmsnap")});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("absent"));
}

class RecoverCommand : public Repack {};

TEST_F(RecoverCommand, SaysWhatIsMissingAndEndsWithFindings) {
  std::uint64_t uart = 0;
  {
    const auto reader = SnapshotReader::open(from_);
    ASSERT_TRUE(reader);
    uart = reader->device_chunk(kUart).meta_offset() + 20;
  }
  flip_byte(from_, uart);
  const ToolRun run = run_tool({"recover", from_, to_});
  EXPECT_EQ(run.status, 3);
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("recovered 4 of 5 devices and 80 KiB of 80 KiB of memory"));
  EXPECT_THAT(run.out, HasSubstr("missing: device isa0/uart@3f8 (uart16550): "));
  const Json report = run_tool({"recover", "--json", from_, to_}).json();
  EXPECT_EQ(report["devices_recovered"], 4);
  ASSERT_EQ(report["losses"].size(), 1u);
  EXPECT_EQ(report["losses"][0]["kind"], "device");
  EXPECT_EQ(report["losses"][0]["path"], "isa0/uart@3f8");

  const ToolRun checked = run_tool({"check", "--json", to_});
  EXPECT_EQ(checked.status, 3);
  ASSERT_EQ(checked.json()["findings"].size(), 1u);
  EXPECT_EQ(checked.json()["findings"][0]["code"], "lost");
  EXPECT_THAT(checked.out, HasSubstr("isa0/uart@3f8"));
  EXPECT_THAT(run_tool({"info", to_}).out, HasSubstr("recovered (incompatible bit 3)"));
  EXPECT_EQ(run_tool({"show", to_}).status, 0);
  EXPECT_EQ(run_tool({"ls", to_}).status, 0);
  // The list of what is missing goes on with the file.
  ASSERT_EQ(run_tool({"repack", "--compress", "lz4", to_, dir_.file("c.vmsnap")}).status, 0);
  EXPECT_EQ(run_tool({"check", dir_.file("c.vmsnap")}).status, 3);
}

TEST_F(RecoverCommand, MakesAnOrdinaryFileWhenNothingIsMissing) {
  std::filesystem::resize_file(from_, std::filesystem::file_size(from_) - 1);
  ASSERT_EQ(run_tool({"check", from_}).status, 4);
  const ToolRun run = run_tool({"recover", from_, to_});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("nothing is missing"));
  EXPECT_EQ(run_tool({"check", to_}).status, 0);
}

TEST_F(RecoverCommand, EndsWithFourAndWritesNothingWhenThereIsNoMachine) {
  std::filesystem::resize_file(from_, 3000);
  const ToolRun run = run_tool({"recover", from_, to_});
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.err, HasSubstr("manifest"));
  EXPECT_EQ(dir_.file_count(), 1u);
  EXPECT_EQ(run_tool({"recover", "--json", from_, to_}).json()["error"]["kind"], "truncated");
}

TEST_F(RecoverCommand, EndsWithFiveOnAFormatOfAnotherMajorVersion) {
  claim_next_major(from_);
  EXPECT_EQ(run_tool({"recover", from_, to_}).status, 5);
}

TEST_F(RecoverCommand, LeavesNothingBehindWhenItIsInterrupted) {
  const std::atomic<bool> interrupted = true;
  const ToolRun run = run_tool({"recover", from_, to_}, {false, [&] { return &interrupted; }});
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(dir_.file_count(), 1u);
}

}  // namespace
}  // namespace vmsnap::snaptool
