// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <fstream>

#include "base/temp_dir.h"
#include "format/chunk_header.h"
#include "run_tool.h"
#include "sample_snapshot.h"

namespace vmsnap::snaptool {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A number from a file of /proc whose lines are "name: number ...".
std::uint64_t proc_number(const char* file, const std::string& name) {
  std::ifstream lines(file);
  std::string word;
  while (lines >> word) {
    std::uint64_t number = 0;
    if (word == name + ":" && lines >> number) return number;
  }
  ADD_FAILURE() << file << " has no " << name;
  return 0;
}

TEST(Info, SaysWhoMadeItWhenAndWhatIsInside) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  const SnapshotSummary written = write_sample(path);
  const ToolRun run = run_tool({"info", path});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr(path));
  EXPECT_THAT(run.out, HasSubstr("(" + std::to_string(written.file_size) + " bytes)"));
  EXPECT_THAT(run.out, HasSubstr(" " + to_string(written.uuid) + "\n"));
  EXPECT_THAT(run.out, HasSubstr(" " + to_string(written.root) + "\n"));
  EXPECT_THAT(run.out, HasSubstr(" sampler 0.9\n"));
  EXPECT_THAT(run.out, HasSubstr(" 2026-01-01T00:00:00.5Z\n"));
  EXPECT_THAT(run.out, HasSubstr(" x86-64, 2 vCPUs, 64 KiB of RAM\n"));
  EXPECT_THAT(run.out, HasSubstr(" before the upgrade\n"));
}

TEST(Info, ListsEveryDeviceWithItsVersionAndTheSlotsItNeeds) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  const std::string out = run_tool({"info", path}).out;
  EXPECT_THAT(out, ::testing::ContainsRegex("0  cpu0 +x86_cpu +2\\.0\n"));
  EXPECT_THAT(out, ::testing::ContainsRegex("3  pci0/00:03\\.0 +virtio_blk +1\\.1\n"));
  EXPECT_THAT(
      out,
      HasSubstr("needs disk0: block backend, 1 MiB (1048576 bytes), read-only, was \"/images/a.img\"\n"));
  EXPECT_THAT(out, ::testing::ContainsRegex(
                       "4  void0 +wormhole +7\\.3, readable since 7\\.1, features: time-travel\n"));
}

TEST(Info, PrintsTheSameFactsAsJson) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  const SnapshotSummary written = write_sample(path);
  const ToolRun run = run_tool({"info", "--json", path});
  ASSERT_EQ(run.status, 0);
  const Json info = run.json();
  EXPECT_EQ(info["file"], path);
  EXPECT_EQ(info["file_size"], std::to_string(written.file_size));
  EXPECT_EQ(info["format_version"], "1.0");
  EXPECT_EQ(info["uuid"], to_string(written.uuid));
  EXPECT_EQ(info["root"], to_string(written.root));
  EXPECT_EQ(info["producer"]["name"], "sampler");
  EXPECT_EQ(info["created"], "2026-01-01T00:00:00.5Z");
  EXPECT_EQ(info["architecture"], "x86-64");
  EXPECT_EQ(info["vcpu_count"], 2);
  EXPECT_EQ(info["ram_size"], "65536");
  EXPECT_EQ(info["chunk_count"], written.chunk_count);
  EXPECT_EQ(info["segments"].size(), 2u);
  EXPECT_EQ(info["segments"][1]["kind"], "DeviceMemory");
  EXPECT_EQ(info["segments"][1]["encoding"], "flat");
  EXPECT_EQ(info["segments"][1]["compression"], "none");
  ASSERT_EQ(info["devices"].size(), 5u);
  EXPECT_EQ(info["devices"][3]["slots"][0], Json({{"name", "disk0"},
                                                  {"kind", "BlockBackend"},
                                                  {"hint", "/images/a.img"},
                                                  {"size", "1048576"},
                                                  {"read_only", true}}));
  EXPECT_EQ(info["devices"][4]["version"], "7.3");
  EXPECT_EQ(info["devices"][4]["readable_since"], "7.1");
  EXPECT_EQ(info["devices"][4]["features"], Json::array({"time-travel"}));
  EXPECT_EQ(info["refused"], nullptr);
  EXPECT_EQ(info["findings"], Json::array());
}

TEST(Info, TellsOfAFileThatOthersMayRead) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  write_sample(path);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const ToolRun run = run_tool({"info", "--json", path});
  EXPECT_EQ(run.status, 0);
  ASSERT_EQ(run.json()["findings"].size(), 1u);
  EXPECT_EQ(run.json()["findings"][0]["code"], "file-mode");
  EXPECT_THAT(run_tool({"info", path}).out, HasSubstr("0644"));
}

TEST(Info, ShowsAFileThatARestoreMustRefuseAndSaysWhy) {
  const TempDir dir;
  write_sample(dir.file("a.vmsnap"));
  add_unnamed_chunk(dir.file("a.vmsnap"), dir.file("b.vmsnap"), kChunkCritical);
  const ToolRun run = run_tool({"info", dir.file("b.vmsnap")});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, HasSubstr("refused: "));
  EXPECT_THAT(run.out, HasSubstr("xNEW"));
  const Json refused = run_tool({"info", "--json", dir.file("b.vmsnap")}).json()["refused"];
  EXPECT_EQ(refused["kind"], "unsupported");
}

TEST(Info, MakesTextFromTheFileHarmless) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  Sample sample = make_sample();
  const std::string evil =
      "\x1b]0;owned\x07\x1b[2J\xC2\x9b"
      "31m\xE2\x80\xAE\n";
  sample.contents.manifest.comment = evil;
  sample.contents.manifest.producer_name = evil;
  sample.contents.manifest.producer_version = evil;
  sample.contents.manifest.devices[kDisk].slots[0].hint = evil;
  write_sample(path, sample.contents);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"info", path},
                                                  {"info", "--json", path},
                                                  {"show", path},
                                                  {"show", "--json", path},
                                                  {"ls", path}}) {
    const ToolRun run = run_tool(command);
    EXPECT_EQ(run.status, 0);
    for (const std::string& text : {run.out, run.err}) {
      EXPECT_THAT(text, Not(HasSubstr("\x1b")));
      EXPECT_THAT(text, Not(HasSubstr("\x07")));
      EXPECT_THAT(text, Not(HasSubstr("\xC2\x9b")));
      EXPECT_THAT(text, Not(HasSubstr("\xE2\x80\xAE")));
    }
  }
  EXPECT_THAT(run_tool({"info", path}).out, HasSubstr("\\x1b]0;owned"));
  EXPECT_EQ(run_tool({"info", "--json", path}).json()["comment"], evil);
}

TEST(Info, CutsFreeTextThatIsTooLongForALine) {
  const TempDir dir;
  const std::string path = dir.file("a.vmsnap");
  Sample sample = make_sample();
  for (int i = 0; i < 5000; ++i) sample.contents.manifest.comment += "\xC3\xA4";
  write_sample(path, sample.contents);
  const std::string out = run_tool({"info", path}).out;
  EXPECT_LT(out.size(), 4000u);
  EXPECT_THAT(out, HasSubstr("\xC3\xA4...\n"));
}

TEST(Info, ReadsLittleOfAHugeSparseGuest) {
  constexpr std::size_t kSize = std::size_t{64} << 30;
  const TempDir dir;
  const std::string path = dir.file("huge.vmsnap");
  void* const memory =
      ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  static_cast<char*>(memory)[kSize / 2] = 1;
  Sample sample = make_sample();
  sample.contents.memory_map.segments = {{0, "ram-low", SegmentKind::kSystemMemory, kSize}};
  sample.contents.memory_map.mappings = {{0, 0, Gpa(0), kSize, false}};
  sample.contents.segments = {{as_byte_view(memory, kSize), true}};
  const SnapshotSummary written = write_sample(path, sample.contents);
  ::munmap(memory, kSize);
  ASSERT_GT(written.file_size, kSize);

  // "5" makes the kernel forget the largest resident size so far (proc(5)).
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
  const std::uint64_t resident = proc_number("/proc/self/status", "VmRSS");
  const std::uint64_t read = proc_number("/proc/self/io", "rchar");
  const ToolRun run = run_tool({"info", path});
  EXPECT_LT(proc_number("/proc/self/io", "rchar") - read, std::uint64_t{1} << 20);
  EXPECT_LT(proc_number("/proc/self/status", "VmHWM"), resident + 8 * 1024) << "KiB";
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, HasSubstr("64 GiB of RAM"));
}

}  // namespace
}  // namespace vmsnap::snaptool
