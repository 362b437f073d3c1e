// SPDX-License-Identifier: BSD-2-Clause
// Reads every golden file and holds the outcome to expectations.tsv.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "small_snapshot.h"
#include "snapshot/check.h"
#include "snapshot/snapshot_copy.h"
#include "snapshot/snapshot_reader.h"
#include "streamed.h"

namespace vmsnap {
namespace {

const std::filesystem::path kFolder = VMSNAP_GOLDEN_FOLDER;

struct Expectation {
  std::string file;
  std::string verdict;
  std::string fragment;
};

std::vector<Expectation> expectations() {
  std::vector<Expectation> result;
  std::ifstream table(kFolder / "expectations.tsv");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    Expectation& expectation = result.emplace_back();
    std::getline(fields, expectation.file, '\t');
    std::getline(fields, expectation.verdict, '\t');
    std::getline(fields, expectation.fragment);
  }
  return result;
}

/// What a check finds, except the file mode: git keeps none of 0600.
std::string finding_codes(const CheckReport& report) {
  std::string codes;
  for (const Finding& finding : report.findings) {
    if (finding.code == Finding::Code::kFileMode) continue;
    if (!codes.empty()) codes += ' ';
    codes += to_string(finding.code);
  }
  return codes;
}

TEST(Golden, EveryFileIsReadOrRefusedAsItAlwaysWas) {
  std::size_t sound = 0;
  std::size_t refused = 0;
  for (const Expectation& expectation : expectations()) {
    SCOPED_TRACE(expectation.file);
    const CheckReport report = check_snapshot((kFolder / expectation.file).string(), ReadLevel::kFull);
    if (expectation.verdict == "ok") {
      EXPECT_FALSE(report.error) << report.error->to_string();
      EXPECT_EQ(finding_codes(report), expectation.fragment);
      ++sound;
      continue;
    }
    ASSERT_TRUE(report.error);
    EXPECT_EQ(to_string(report.error->kind()), expectation.verdict) << report.error->to_string();
    EXPECT_THAT(report.error->to_string(), ::testing::HasSubstr(expectation.fragment));
    ++refused;
  }
  EXPECT_GE(sound, 9u);
  EXPECT_GE(refused, 60u);
}

TEST(Golden, EveryFileIsJudgedInAStreamAsItIsInAFile) {
  PassOptions pass;
  pass.threads = 3;
  for (const Expectation& expectation : expectations()) {
    SCOPED_TRACE(expectation.file);
    std::ifstream file(kFolder / expectation.file, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    const auto stream = test::read_through_pipe(as_byte_view(bytes), pass, true);
    EXPECT_EQ(stream ? "ok" : to_string(stream.error().kind()), expectation.verdict)
        << (stream ? "" : stream.error().to_string());
  }
}

TEST(Golden, WhatWasRecoveredIsRefusedInAFileAndInAStreamUnlessItIsAllowed) {
  std::size_t recovered = 0;
  for (const Expectation& expectation : expectations()) {
    if (expectation.verdict != "ok" || expectation.fragment.find("lost") == std::string::npos) continue;
    SCOPED_TRACE(expectation.file);
    const std::string path = kFolder / expectation.file;
    const auto reader = SnapshotReader::open(path, {ReadLevel::kFull, true});
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(reader.error().message(), ::testing::HasSubstr("recovered from a damaged one"));
    std::ifstream file(path, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    const auto stream = test::read_through_pipe(as_byte_view(bytes));
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error().message(), reader.error().message());
    ++recovered;
  }
  EXPECT_GE(recovered, 6u);
}

/// A snapshot as tools see it.
Result<SnapshotReader> open_as_tool(File file) {
  SnapshotReadOptions options;
  options.level = ReadLevel::kFull;
  options.allow_unknown_critical = true;
  options.allow_recovered = true;
  return SnapshotReader::open(std::move(file), options);
}

void expect_same(SnapshotReader& original, SnapshotReader& copy) {
  EXPECT_EQ(copy.manifest(), original.manifest());
  EXPECT_EQ(copy.memory_map(), original.memory_map());
  EXPECT_TRUE(std::equal(copy.losses().begin(), copy.losses().end(), original.losses().begin(),
                         original.losses().end()));
  for (const DeviceEntry& device : original.manifest().devices) {
    const auto before = original.device_state(device.instance);
    const auto after = copy.device_state(device.instance);
    ASSERT_TRUE(before && after);
    EXPECT_EQ(*after, *before);
  }
  const auto before = original.memory_digest();
  const auto after = copy.memory_digest();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(*after, *before);
}

TEST(Golden, EveryFileIsCopiedFromAStreamAsItIsFromAFileOrRefusedLikeIt) {
  SnapshotWriteOptions to;
  to.encoding = RamEncoding::kExtents;
  std::size_t copied = 0;
  for (const Expectation& expectation : expectations()) {
    SCOPED_TRACE(expectation.file);
    const ByteVector bytes = test::read_whole((kFolder / expectation.file).string());
    std::string verdict = "ok";
    const File file = test::memory_file({});
    FileSink sink(file);
    auto original = open_as_tool(test::memory_file(bytes));
    if (!original) {
      verdict = to_string(original.error().kind());
    } else if (const auto report = copy_snapshot(*original, sink, to); !report) {
      verdict = to_string(report.error().kind());
    }
    ByteVector piped;
    const auto report = test::copy_through_pipes(bytes, piped, to);
    EXPECT_EQ(report ? "ok" : to_string(report.error().kind()), verdict)
        << (report ? "" : report.error().to_string());
    auto copy = open_as_tool(test::memory_file(piped));
    EXPECT_EQ(copy.has_value(), report.has_value());
    if (!copy || !original) continue;
    expect_same(*original, *copy);
    ++copied;
  }
  EXPECT_GE(copied, 14u);
}

TEST(Golden, EveryFileHasItsExpectationAndItsFolderSaysTheVerdict) {
  std::set<std::string> expected;
  for (const Expectation& expectation : expectations()) {
    EXPECT_TRUE(expected.insert(expectation.file).second) << expectation.file << " is listed twice";
    const std::string folder = expectation.file.substr(0, expectation.file.find('/'));
    if (expectation.verdict == "ok") {
      EXPECT_EQ(folder, "good");
    } else if (expectation.verdict == "unsupported") {
      EXPECT_EQ(folder, "unsupported");
    } else {
      EXPECT_EQ(folder, "bad");
    }
  }
  std::set<std::string> present;
  for (const char* folder : {"good", "bad", "unsupported"}) {
    for (const auto& entry : std::filesystem::directory_iterator(kFolder / folder)) {
      if (entry.path().extension() == ".vmsnap") present.insert(folder / entry.path().filename());
    }
  }
  EXPECT_EQ(present, expected);
}

}  // namespace
}  // namespace vmsnap
