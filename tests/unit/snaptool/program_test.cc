// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/exit_code.h"
#include "base/temp_dir.h"
#include "run_tool.h"
#include "sample_snapshot.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Program, PrintsItsVersionAndThatOfTheFormat) {
  const ToolRun run = run_tool({"--version"});
  EXPECT_EQ(run.status, kExitOk);
  EXPECT_EQ(run.out, std::string("snaptool ") + VMSNAP_VERSION + " (format 1.0)\n");
}

TEST(Program, PrintsHelpOnStandardOutput) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"-h"},
                                                {"info", "--help"},
                                                {"ls", "-h"},
                                                {"show", "-h"},
                                                {"check", "-h"}}) {
    const ToolRun run = run_tool(words);
    EXPECT_EQ(run.status, kExitOk);
    EXPECT_THAT(run.out, HasSubstr("Usage: snaptool"));
    EXPECT_EQ(run.err, "");
  }
}

TEST(Program, AnswersAWrongCommandLineWithOneSentence) {
  const std::vector<std::vector<std::string>> lines = {
      {},
      {"bogus"},
      {"bogus", "file"},
      {"--bogus"},
      {"info"},
      {"info", "--bogus", "file"},
      {"info", "file", "more"},
      {"ls"},
      {"show"},
      {"show", "file", "cpu0", "more"},
      {"show", "--docs", "--json", "file"},
      {"check"},
      {"check", "--level", "deep", "file"},
      {"check", "file", "--level"},
      {"info", "-"},
      {"check", "-"},
  };
  for (const std::vector<std::string>& line : lines) {
    const ToolRun run = run_tool(line);
    EXPECT_EQ(run.status, kExitUsage) << ::testing::PrintToString(line);
    EXPECT_EQ(run.err.find('\n'), run.err.size() - 1) << run.err;
    EXPECT_THAT(run.err, StartsWith("snaptool: "));
    EXPECT_EQ(run.out, "");
  }
  EXPECT_THAT(run_tool({"bogus"}).err, HasSubstr("\"bogus\""));
  EXPECT_THAT(run_tool({"info"}).err, EndsWith("try snaptool info --help\n"));
}

class EveryCommand : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] ToolRun run(const std::string& path) const { return run_tool({GetParam(), path}); }
  [[nodiscard]] ToolRun run_json(const std::string& path) const {
    return run_tool({GetParam(), "--json", path});
  }

  /// Both forms end with `status`, say a sentence that names the file, and JSON says of what kind the error
  /// is.
  void expect_error(const std::string& path, int status, const std::string& kind) const {
    const ToolRun text = run(path);
    EXPECT_EQ(text.status, status) << text.err;
    EXPECT_THAT(text.err, StartsWith("snaptool: " + path + ": "));
    EXPECT_EQ(text.err.find('\n'), text.err.size() - 1) << text.err;
    const ToolRun json = run_json(path);
    EXPECT_EQ(json.status, status);
    EXPECT_EQ(json.err, text.err);
    EXPECT_EQ(json.json()["error"]["kind"], kind) << json.out;
    EXPECT_EQ(json.json()["error"]["file"], path);
  }

  TempDir dir_;
};

TEST_P(EveryCommand, EndsWithZeroOnAGoodFile) {
  write_sample(dir_.file("a.vmsnap"));
  EXPECT_EQ(run(dir_.file("a.vmsnap")).status, kExitOk);
  EXPECT_EQ(run_json(dir_.file("a.vmsnap")).status, kExitOk);
  EXPECT_EQ(run_json(dir_.file("a.vmsnap")).err, "");
}

TEST_P(EveryCommand, EndsWithOneOnAFileThatCannotBeRead) {
  expect_error(dir_.file("absent.vmsnap"), kExitFailure, "io");
}

TEST_P(EveryCommand, RefusesADirectory) {
  expect_error(dir_.path().string(), kExitFailure, "io");
  EXPECT_THAT(run(dir_.path().string()).err, HasSubstr("directory"));
}

TEST_P(EveryCommand, RefusesAPipeInsteadOfWaitingForIt) {
  const std::string path = dir_.file("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_error(path, kExitFailure, "io");
}

TEST_P(EveryCommand, EndsWithFourOnAFileThatWasCut) {
  const std::string path = dir_.file("a.vmsnap");
  const SnapshotSummary written = write_sample(path);
  std::filesystem::resize_file(path, written.file_size - 1);
  expect_error(path, kExitCorrupt, "truncated");
}

TEST_P(EveryCommand, EndsWithFourOnAnEmptyFile) {
  const std::string path = dir_.file("a.vmsnap");
  write_sample(path);
  std::filesystem::resize_file(path, 0);
  expect_error(path, kExitCorrupt, "truncated");
}

TEST_P(EveryCommand, EndsWithFourOnADamagedFooter) {
  const std::string path = dir_.file("a.vmsnap");
  const SnapshotSummary written = write_sample(path);
  flip_byte(path, written.file_size - 30);
  expect_error(path, kExitCorrupt, "corrupt");
}

TEST_P(EveryCommand, EndsWithFourOnAFileThatIsNoSnapshot) {
  const std::string path = dir_.file("a.vmsnap");
  write_sample(path);
  flip_byte(path, 0);
  expect_error(path, kExitCorrupt, "corrupt");
}

TEST_P(EveryCommand, EndsWithFiveOnAFormatOfAnotherMajorVersion) {
  const std::string path = dir_.file("a.vmsnap");
  write_sample(path);
  claim_next_major(path);
  expect_error(path, kExitUnsupported, "unsupported");
}

TEST_P(EveryCommand, MakesTheNameOfAFileHarmless) {
  const ToolRun text = run(dir_.file("\x1b[31m.vmsnap"));
  EXPECT_EQ(text.status, kExitFailure);
  EXPECT_EQ(text.err.find('\x1b'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Program, EveryCommand, ::testing::Values("info", "ls", "show", "check"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace vmsnap::snaptool
