// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/check_set.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "legacy_files.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::HasSubstr;
using Code = SetFinding::Code;

constexpr std::uint64_t kKernOfA = 156162;
constexpr std::uint64_t kKernOfB = 15687;
constexpr std::uint64_t kKernOfC = 21828;
constexpr std::uint64_t kKernOfMixed = 156514;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::vector<SetFinding> check(const LegacyFiles& files) {
  const auto set = LegacySet::open(files.path());
  EXPECT_TRUE(set) << set.error().to_string();
  return set ? check_set(*set) : std::vector<SetFinding>();
}

std::vector<SetFinding> check_c(std::string_view from, std::string_view to,
                                std::uint64_t kern_size = kKernOfC) {
  return check(LegacyFiles(replaced(sample_meta("c"), from, to), kern_size, 5 * kGiB));
}

/// "error beyond-end devices[3] atkbdc", one per finding.
std::vector<std::string> summary(const std::vector<SetFinding>& findings) {
  std::vector<std::string> out;
  for (const SetFinding& finding : findings) {
    EXPECT_FALSE(finding.file.empty());
    EXPECT_FALSE(finding.sentence.empty());
    out.push_back(
        fmt::format("{} {} {}", to_string(finding.severity), to_string(finding.code), finding.entry));
  }
  return out;
}

using Summary = std::vector<std::string>;

TEST(CheckSet, FindsNothingInWhatTheGenerationsWrite) {
  EXPECT_EQ(summary(check(LegacyFiles(sample_meta("c"), kKernOfC, 5 * kGiB))), Summary());
  EXPECT_EQ(summary(check(LegacyFiles(sample_meta("mixed"), kKernOfMixed, kGiB))), Summary());
  EXPECT_EQ(summary(check(LegacyFiles(sample_meta("a"), kKernOfA, kGiB))), Summary())
      << "devices that are not configured have empty chunks";
}

TEST(CheckSet, KnowsTheEmptyVmxOf132) {
  const auto findings = check(LegacyFiles(sample_meta("b"), kKernOfB, kGiB));
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].code, Code::kEmptyVmx);
  EXPECT_EQ(findings[0].severity, Severity::kWarning);
  EXPECT_EQ(findings[0].entry, "structs[2] vmx");
  EXPECT_EQ(std::count_if(findings.begin(), findings.end(),
                          [](const SetFinding& finding) { return finding.severity != Severity::kNote; }),
            1);
}

TEST(CheckSet, ComparesGuestMemoryWithMemsize) {
  const auto memory = [](std::uint64_t size) {
    auto findings = check(LegacyFiles(sample_meta("c"), kKernOfC, size));
    EXPECT_EQ(summary(findings), Summary{"error memory-size "});
    return findings.empty() ? SetFinding() : findings[0];
  };
  EXPECT_THAT(memory(0).sentence, HasSubstr("empty"));
  EXPECT_THAT(memory(5 * kGiB + 1).sentence, HasSubstr("belongs to another snapshot"));
  EXPECT_THAT(memory(5 * kGiB - 4096).sentence, HasSubstr("the last 4096 are missing"));
  const SetFinding high = memory(3 * kGiB);
  EXPECT_THAT(high.sentence, HasSubstr("the 2147483648 bytes above it are missing"));
  EXPECT_EQ(high.offset, 3 * kGiB);
  EXPECT_TRUE(high.file.ends_with("/vm"));
}

TEST(CheckSet, JudgesTheBasicMetadata) {
  const auto basic = [](std::string_view from, std::string_view to, std::uint64_t memory = 5 * kGiB) {
    return summary(check(LegacyFiles(replaced(sample_meta("c"), from, to), kKernOfC, memory)));
  };
  EXPECT_EQ(basic("\"ncpus\": 2", "\"ncpus\": 0"), Summary{"error bad-ncpus basic metadata"});
  EXPECT_EQ(basic("\"ncpus\": 2", "\"ncpus\": 1024"), Summary());
  EXPECT_EQ(basic("\"ncpus\": 2", "\"ncpus\": 1025"), Summary{"error bad-ncpus basic metadata"});
  EXPECT_EQ(basic("5368709120", "0", 0), Summary{"error bad-memsize basic metadata"});
  EXPECT_EQ(basic("5368709120", "5368709121", 5 * kGiB + 1), Summary{"warning bad-memsize basic metadata"});
  EXPECT_EQ(basic("vm0", "../vm0"), Summary{"note unsafe-name basic metadata"});
  EXPECT_EQ(basic("vm0", "vm\x07"), Summary{"warning unsafe-name basic metadata"});
  EXPECT_EQ(basic("vm0", "M\xc3\xbcller"), Summary());
}

TEST(CheckSet, SaysWhichChunksTheFileIsTooShortFor) {
  const auto findings = check(LegacyFiles(sample_meta("c"), 21700, 5 * kGiB));
  ASSERT_EQ(summary(findings), Summary{"error beyond-end devices[3] atkbdc"});
  EXPECT_EQ(findings[0].offset, 21687u);
  EXPECT_TRUE(findings[0].file.ends_with("/vm.kern"));
  EXPECT_THAT(findings[0].sentence, HasSubstr("141 bytes from here, but the file ends at 21700"));
  EXPECT_EQ(summary(check(LegacyFiles(sample_meta("c"), 0, 5 * kGiB))).size(), 13u);
}

TEST(CheckSet, OffsetsAndSizesMayOverflow) {
  EXPECT_EQ(summary(check_c("\"file_offset\": 21687", "\"file_offset\": 18446744073709551615")),
            (Summary{"error beyond-end devices[3] atkbdc", "warning gap "}));
  EXPECT_EQ(summary(check_c("\"size\": 141", "\"size\": 18446744073709551615")),
            (Summary{"error beyond-end devices[3] atkbdc", "error chunk-too-large devices[3] atkbdc"}));
}

TEST(CheckSet, AChunkMayNotBeLargerThanItIsRead) {
  const std::string size = std::to_string(kMaxLegacyChunkSize + 1);
  EXPECT_EQ(summary(check_c("\"size\": 141", "\"size\": " + size, 21687 + kMaxLegacyChunkSize + 1)),
            Summary{"error chunk-too-large devices[3] atkbdc"});
}

TEST(CheckSet, ReportsBytesOfTwoChunksAndOfNone) {
  const auto overlap = check_c("\"size\": 452", "\"size\": 453");
  ASSERT_EQ(summary(overlap), Summary{"error overlap devices[1] virtio-blk@pci.0.3.0"});
  EXPECT_EQ(overlap[0].offset, 12232u);
  EXPECT_THAT(overlap[0].sentence, HasSubstr("devices[0] hostbridge@pci.0.0.0 reaches up to 12233"));

  const auto gap = check_c("\"size\": 452", "\"size\": 450");
  ASSERT_EQ(summary(gap), Summary{"warning gap "});
  EXPECT_EQ(gap[0].offset, 12230u);
  EXPECT_THAT(gap[0].sentence, HasSubstr("2 bytes from here"));

  const auto tail = check(LegacyFiles(sample_meta("c"), kKernOfC + 5, 5 * kGiB));
  ASSERT_EQ(summary(tail), Summary{"warning gap "});
  EXPECT_EQ(tail[0].offset, kKernOfC);

  // The second lies within the first.
  EXPECT_EQ(summary(check_c("\"size\": 8835", "\"size\": 9596")),
            (Summary{"error overlap devices[2] lpc@pci.0.31.0", "error overlap devices[3] atkbdc"}));
}

TEST(CheckSet, AnotherOrderIsNoted) {
  const std::string vm = R"("device": "vm",
      "size": 496,
      "file_offset": 284)";
  const std::string vhpet = R"("device": "vhpet",
      "size": 284,
      "file_offset": 0)";
  const std::string text = replaced(replaced(replaced(sample_meta("c"), vm, "@"), vhpet, vm), "@", vhpet);
  const auto findings = check(LegacyFiles(text, kKernOfC, 5 * kGiB));
  ASSERT_EQ(summary(findings), Summary{"note not-cumulative kern_structs[0] vm"});
  EXPECT_EQ(findings[0].offset, 284u);
  EXPECT_THAT(findings[0].sentence,
              HasSubstr("not at 0, where the one listed before it ends, and so do 2 others"));
}

TEST(CheckSet, NamesMissingUnknownAndRepeatedChunks) {
  EXPECT_EQ(summary(check_c("\"device\": \"vm\"", "\"device\": \"vmm\"")),
            (Summary{"warning unknown-chunk kern_structs[1] vmm", "error missing-chunk kern_structs"}));
  const auto twice = check_c("\"device\": \"vm\"", "\"device\": \"vhpet\"");
  EXPECT_EQ(summary(twice),
            (Summary{"warning duplicate kern_structs[1] vhpet", "error missing-chunk kern_structs"}));
  EXPECT_THAT(twice[0].sentence, HasSubstr("kern_structs[0] vhpet is for the same chunk already"));
  EXPECT_THAT(twice[1].sentence, HasSubstr("there is no chunk vm,"));

  const std::string a = replaced(sample_meta("a"), "\"snapshot_req\": 0", "\"snapshot_req\": 4");
  const auto without_vmx = check(LegacyFiles(a, kKernOfA, kGiB));
  EXPECT_EQ(summary(without_vmx)[0], "warning unknown-chunk structs[2] request 4");
  EXPECT_EQ(summary(without_vmx)[1], "warning missing-chunk structs");
  EXPECT_THAT(without_vmx[1].sentence, HasSubstr("there is no chunk vmx"));
}

TEST(CheckSet, TheNumberOfAKernelChunkCountsAndNotItsName) {
  const std::string a = replaced(sample_meta("a"), "\"debug_name\": \"vhpet\"", "\"debug_name\": \"vrtc\"");
  EXPECT_EQ(summary(check(LegacyFiles(a, kKernOfA, kGiB)))[0], "warning name-contradicts structs[0] vhpet");
}

TEST(CheckSet, NamesRepeatedDevices) {
  EXPECT_EQ(summary(check_c("lpc@pci.0.31.0", "virtio-blk@pci.0.3.0")),
            Summary{"warning duplicate devices[2] virtio-blk@pci.0.3.0"});
  // The same function in the other spelling.
  const auto same_place = check_c("lpc@pci.0.31.0", "virtio-net-pci-0-3-0");
  ASSERT_EQ(summary(same_place), Summary{"warning duplicate devices[2] virtio-net-pci-0-3-0"});
  EXPECT_THAT(same_place[0].sentence,
              HasSubstr("devices[1] virtio-blk@pci.0.3.0 is at the same PCI address"));
}

TEST(CheckSet, EntriesThatNobodyReadOverlapNothing) {
  EXPECT_EQ(
      summary(check_c("\"kern_structs\": [", R"("kern_structs": [
    {
      "device": "vtsc",
      "size": 284,
      "file_offset": 0
    },)")),
      (Summary{"warning unknown-chunk kern_structs[0] vtsc", "note not-cumulative kern_structs[1] vhpet"}));
  EXPECT_EQ(summary(check_c("\"devices\": [", R"("devices": [
    {
      "device": "atkbdc",
      "size": 141,
      "file_offset": 21687
    },)")),
            (Summary{"warning duplicate devices[4] atkbdc", "note not-cumulative devices[0] atkbdc"}));
}

TEST(CheckSet, AnEmptyChunkMeansSomethingElseInEachForm) {
  const auto device = check_c("\"size\": 141", "\"size\": 0", 21687);
  EXPECT_EQ(summary(device), Summary{"warning empty-device devices[3] atkbdc"});
  const auto kernel = summary(check_c("\"size\": 496", "\"size\": 0"));
  EXPECT_EQ(kernel, (Summary{"error empty-chunk kern_structs[1] vm", "warning gap "}));
}

TEST(CheckSet, WarnsOfNamesThatAreNoNames) {
  EXPECT_EQ(summary(check_c("\"device\": \"atkbdc\"", "\"snapshot_req\": 7")),
            Summary{"error nameless-device devices[3] vatpic"});
  EXPECT_EQ(summary(check_c("atkbdc", "")), Summary{"warning nameless-device devices[3] (without a name)"});
  EXPECT_EQ(summary(check_c("atkbdc", "../../etc/passwd")),
            Summary{"warning unsafe-name devices[3] ../../etc/passwd"});
  EXPECT_EQ(summary(check_c("atkbdc", "..")), Summary{"warning unsafe-name devices[3] .."});
  EXPECT_EQ(summary(check_c("atkbdc", "kbd\x1b[2J")), Summary{"warning unsafe-name devices[3] kbd\\x1b[2J"});
  EXPECT_EQ(summary(check_c("atkbdc", std::string(255, 'k'))), Summary());
  EXPECT_EQ(summary(check_c("atkbdc", std::string(256, 'k'))),
            Summary{"warning long-name devices[3] " + std::string(64, 'k') + "..."});
  EXPECT_EQ(summary(check_c("atkbdc", "kbd\xff")), Summary{"warning unsafe-name devices[3] kbd\\xff"});
  EXPECT_EQ(summary(check_c("atkbdc", "kbd\xe2\x80\xae")),
            Summary{"warning unsafe-name devices[3] kbd\\u{202e}"});
  EXPECT_EQ(summary(check_c("atkbdc", "atkbdc@pci.0.32.0")),
            Summary{"warning unreadable-address devices[3] atkbdc@pci.0.32.0"});
}

TEST(CheckSet, NothingItSaysActsOnATerminal) {
  const auto findings = check(LegacyFiles(sample_meta("raw_bytes"), 6101, 4096));
  EXPECT_GE(findings.size(), 5u);
  for (const SetFinding& finding : findings) {
    for (const char c : finding.entry + finding.sentence)
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << finding.sentence;
  }
}

TEST(CheckSet, NotesKeysThatNoReleaseWrites) {
  const auto findings = check_c("\"size\": 141", "\"size\": 141, \"transport\": \"x\"");
  ASSERT_EQ(summary(findings), Summary{"note unknown-key "});
  EXPECT_THAT(findings[0].sentence, HasSubstr("devices[3].transport"));
}

TEST(CheckSet, ItsReportIsBoundedByTheNumberOfEntries) {
  std::string entries;
  for (std::size_t i = 0; i + 1 < kMaxMetaEntries; ++i) {
    entries +=
        fmt::format("{}\"device\": \"/{}\x01\", \"debug_name\": \"{}\", \"size\": {}, \"file_offset\": {}",
                    i == 0 ? "" : "}, {", i % 7, std::string(300, '/'), UINT64_MAX - i % 3, 4096 - i);
  }
  const auto findings = check(LegacyFiles(only_entry(entries), 1 << 20, 1));
  EXPECT_LE(findings.size(), 12 * kMaxMetaEntries);
  for (const SetFinding& finding : findings) EXPECT_LT(finding.sentence.size(), 400u);
}

TEST(CheckSet, TellsWhatBhyveMakesOfAFinding) {
  for (const Code code : {Code::kMemorySize, Code::kBeyondEnd, Code::kMissingChunk, Code::kEmptyVmx})
    EXPECT_EQ(to_string(consequence_of(code)), "refused") << to_string(code);
  for (const Code code : {Code::kOverlap, Code::kGap, Code::kUnsafeName, Code::kDuplicate})
    EXPECT_EQ(to_string(consequence_of(code)), "suspicious") << to_string(code);
  for (const Code code : {Code::kNotCumulative, Code::kUnknownKey})
    EXPECT_EQ(to_string(consequence_of(code)), "none") << to_string(code);
  EXPECT_EQ(to_string(Consequence::kCrash), "crash");
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
