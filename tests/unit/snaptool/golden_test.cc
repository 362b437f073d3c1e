// SPDX-License-Identifier: BSD-2-Clause
// The golden files as their holders meet them: through the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/exit_code.h"
#include "base/temp_dir.h"
#include "run_tool.h"

namespace vmsnap::snaptool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Golden {
  std::string file;     // relative to the folder
  std::string verdict;  // "ok" or the kind of the error
  std::string words;    // codes of the findings, or a part of the message
};

std::vector<Golden> read_expectations() {
  std::vector<Golden> all;
  std::ifstream lines(fs::path(VMSNAP_GOLDEN_FOLDER) / "expectations.tsv");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Golden golden;
    std::getline(fields, golden.file, '\t');
    std::getline(fields, golden.verdict, '\t');
    std::getline(fields, golden.words);
    all.push_back(std::move(golden));
  }
  EXPECT_FALSE(all.empty());
  return all;
}

int status_of(const std::string& verdict) {
  if (verdict == "ok") return kExitOk;
  if (verdict == "unsupported") return kExitUnsupported;
  return verdict == "truncated" || verdict == "corrupt" ? kExitCorrupt : kExitFailure;
}

std::set<std::string> codes_of_findings(const Json& report) {
  std::set<std::string> codes;
  for (const Json& finding : report["findings"]) codes.insert(finding["code"].get<std::string>());
  return codes;
}

class GoldenFiles : public ::testing::Test {
 protected:
  /// A copy that only its owner may read: a working tree does not keep that, and check would find it odd.
  std::string copy(const Golden& golden) {
    const fs::path to = dir_.path() / fs::path(golden.file).filename();
    fs::copy_file(fs::path(VMSNAP_GOLDEN_FOLDER) / golden.file, to);
    fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write);
    return to.string();
  }

  TempDir dir_;
};

TEST_F(GoldenFiles, AreJudgedByCheckAsTheyAlwaysWere) {
  for (const Golden& golden : read_expectations()) {
    SCOPED_TRACE(golden.file);
    const std::string path = copy(golden);
    const ToolRun run = run_tool({"check", "--json", path});
    const Json report = run.json();
    if (golden.verdict == "ok") {
      EXPECT_EQ(run.status, golden.words.empty() ? kExitOk : kExitFindings) << run.out;
      std::set<std::string> found = codes_of_findings(report);
      // This program's own, which compares what is in a file with the schemas in it.
      found.erase("unusable-schema");
      found.erase("odd-value");
      std::istringstream words(golden.words);
      EXPECT_EQ(found, std::set<std::string>(std::istream_iterator<std::string>(words), {}));
    } else {
      EXPECT_EQ(run.status, status_of(golden.verdict)) << run.err;
      EXPECT_EQ(report["result"], golden.verdict);
      EXPECT_THAT(run.err, HasSubstr(golden.words));
      EXPECT_EQ(run_tool({"check", path}).status, run.status);
    }
  }
}

TEST_F(GoldenFiles, AreShownWhenTheyAreSound) {
  std::size_t shown_in_full = 0;
  for (const Golden& golden : read_expectations()) {
    if (golden.verdict != "ok") continue;
    SCOPED_TRACE(golden.file);
    const std::string path = copy(golden);
    const bool whole =
        codes_of_findings(run_tool({"check", "--json", path}).json()).count("unusable-schema") == 0;
    for (const std::string command : {"info", "ls", "show"}) {
      // What has no usable schema is left out, and that is said.
      const int status = whole || command != "show" ? kExitOk : kExitCorrupt;
      const ToolRun text = run_tool({command, path});
      EXPECT_EQ(text.status, status) << text.err;
      EXPECT_EQ(text.err.empty(), status == kExitOk) << text.err;
      EXPECT_NE(text.out, "");
      const ToolRun json = run_tool({command, "--json", path});
      EXPECT_EQ(json.status, status) << json.err;
      EXPECT_TRUE(Json::accept(json.out));
    }
    if (whole) ++shown_in_full;
  }
  EXPECT_GT(shown_in_full, 0u);
}

TEST_F(GoldenFiles, GetAnAnswerFromEveryCommandWhateverIsWrongWithThem) {
  for (const Golden& golden : read_expectations()) {
    if (golden.verdict == "ok") continue;
    SCOPED_TRACE(golden.file);
    const std::string path = copy(golden);
    for (const char* command : {"info", "ls", "show"}) {
      const ToolRun text = run_tool({command, path});
      const ToolRun json = run_tool({command, "--json", path});
      EXPECT_EQ(text.status, json.status);
      EXPECT_TRUE(Json::accept(json.out)) << json.out;
      // These read less than check does, so they may not meet what is wrong; what they meet, they judge
      // alike.
      if (text.status != kExitOk) {
        const bool unusable_schema = text.err.find("the schema is damaged") != std::string::npos;
        EXPECT_EQ(text.status, unusable_schema ? kExitCorrupt : status_of(golden.verdict)) << text.err;
        EXPECT_THAT(text.err, HasSubstr(path));
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap::snaptool
