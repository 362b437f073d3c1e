// SPDX-License-Identifier: BSD-2-Clause
// Sets of the kernel's chunks alone, whose bytes do not matter. Devices, and whole sets of every generation,
// are in tests/bhyve/classify_test.py.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "../set/legacy_files.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/verdict/known_bugs.h"
#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// The sizes of the chunks that differ between generations; the others are as always.
struct Sizes {
  std::string key = "kern_structs";
  std::uint64_t ncpus = 2;
  std::map<std::string, std::uint64_t> chunks;
};

Sizes of_a() {
  return {"structs", 2, {{"vm", 2944}, {"vmx", 3584}, {"vlapic", 66768}, {"vmcx", 6016}}};
}
Sizes of_b() {
  return {"structs", 2, {{"vm", 400}, {"vmx", 0}, {"vlapic", 8338}, {"vmcx", 1200}}};
}
Sizes of_c() {
  return {"kern_structs", 2, {{"vm", 496}, {"vlapic", 8338}, {"vmcx", 1840}}};
}

LegacyFiles files_of(Sizes sizes) {
  const std::pair<const char*, std::uint64_t> fixed[] = {{"vhpet", 284},  {"vioapic", 388}, {"vatpit", 172},
                                                         {"vatpic", 118}, {"vpmtmr", 4},    {"vrtc", 140}};
  for (const auto& [name, size] : fixed) sizes.chunks.emplace(name, size);
  std::string entries;
  std::uint64_t offset = 0;
  for (const auto& [name, size] : sizes.chunks) {
    entries += fmt::format("{}{{\"device\": \"{}\", \"size\": {}, \"file_offset\": {}}}",
                           entries.empty() ? "" : ", ", name, size, offset);
    offset += size;
  }
  const std::string meta = fmt::format(
      "{{\"basic metadata\": {{\"ncpus\": {}, \"vmname\": \"v\", \"memsize\": 4096, \"memflags\": 0}}, "
      "\"{}\": [{}], "
      "\"devices\": []}}",
      sizes.ncpus, sizes.key, entries);
  return {meta, offset, 4096};
}

/// "A, A2 intel", or the sentence of the refusal.
std::string verdict_on(const Sizes& sizes, const std::vector<std::string>& assume = {}) {
  const LegacyFiles files = files_of(sizes);
  const auto set = LegacySet::open(files.path());
  const auto assumptions = Assumptions::parse(assume);
  if (!set || !assumptions) return "the test is wrong";
  const auto verdict = classify(*set, *assumptions);
  if (!verdict) return verdict.error().to_string();
  std::string text;
  for (const Generation generation : verdict->generations)
    text += std::string(text.empty() ? "" : ", ") + std::string(to_string(generation));
  if (text.empty()) text = verdict->generation_text();
  return text + ' ' + std::string(to_string(verdict->vendor));
}

Sizes with(Sizes sizes, const std::string& chunk, std::uint64_t size) {
  sizes.chunks[chunk] = size;
  return sizes;
}

TEST(Classify, TellsGenerationAndVendorBySizes) {
  EXPECT_EQ(verdict_on(of_a()), "A, A2 intel");
  EXPECT_EQ(verdict_on(with(with(of_a(), "vmcx", 7936), "vmx", 50856)), "A, A2 amd");
  EXPECT_EQ(verdict_on(of_b()), "B intel");
  EXPECT_EQ(verdict_on(with(of_b(), "vmcx", 1544)), "B amd");
  EXPECT_EQ(verdict_on(with(of_c(), "vmcx", 1328)), "C0 intel");
  EXPECT_EQ(verdict_on(with(of_c(), "vmcx", 1544)), "C0 amd");
  EXPECT_EQ(verdict_on(of_c()), "C intel");
  EXPECT_EQ(verdict_on(with(of_c(), "vmcx", 2056)), "C amd");
}

TEST(Classify, AcceptsMixedFormsAndSaysInWhatTheyDeviate) {
  EXPECT_EQ(verdict_on(with(of_c(), "vmcx", 1712)), "mixed; nearest to C, but for vmcx intel");
  EXPECT_EQ(verdict_on(with(of_c(), "vm", 368 + 64)), "mixed; nearest to C, but for cpuset intel");
  EXPECT_EQ(verdict_on(with(of_b(), "vmx", 8)), "B intel");
}

TEST(Classify, FindsASetOfVcpusBehindTheRecordsOfGenerationA) {
  EXPECT_EQ(verdict_on(with(of_a(), "vm", 2944 + 32)), "mixed; nearest to A, but for cpuset intel");
  EXPECT_EQ(verdict_on(with(of_a(), "vm", 2944 + 128)), "mixed; nearest to A, but for cpuset intel");
  EXPECT_THAT(verdict_on(with(of_a(), "vm", 2944 + 24)), HasSubstr("no size that is known"));
  EXPECT_EQ(verdict_on(with(of_a(), "vm", 2944 + 24), {"vm=A", "cpuset=24"}),
            "mixed; nearest to A, but for cpuset intel");
  EXPECT_THAT(verdict_on(of_a(), {"vm=A", "cpuset=32"}), HasSubstr("no size that is possible as assumed"));
}

TEST(Classify, TakesNoFillerForRegistersWhateverItsSize) {
  EXPECT_EQ(verdict_on(with(of_b(), "vmx", 3584)), "B intel");
  EXPECT_EQ(verdict_on(with(with(of_b(), "vmcx", 1544), "vmx", 50856)), "B amd");
  EXPECT_EQ(verdict_on(with(of_b(), "vmx", 3584), {"vmx=data"}), "mixed; nearest to B, but for vmx intel");
  EXPECT_THAT(verdict_on(with(of_a(), "vmx", 8)), HasSubstr("--assume vmx=filled"));
}

TEST(Classify, RefusesSizesOfNoGenerationWithThoseThatWouldFit) {
  const std::string refusal = verdict_on(with(of_c(), "vmcx", 1841));
  EXPECT_THAT(refusal, HasSubstr("chunk vmcx"));
  EXPECT_THAT(refusal, HasSubstr("1841 bytes"));
  for (const char* size : {"6016", "1200", "1328", "1712", "1840", "7936", "1544", "2056"})
    EXPECT_THAT(refusal, HasSubstr(size));
  EXPECT_THAT(verdict_on(with(of_c(), "vm", 368 + 131)), HasSubstr("496 (C)"));
  EXPECT_THAT(verdict_on(with(of_c(), "vm", 368 + 24)), HasSubstr("no size that is known"));
  EXPECT_THAT(verdict_on(with(of_c(), "vlapic", 8337)), HasSubstr("8338 (B"));
  EXPECT_THAT(verdict_on(with(of_c(), "vrtc", 139)), HasSubstr("140 in every bhyve"));
  EXPECT_THAT(verdict_on(with(of_a(), "vmx", 3583)), HasSubstr("3584 (Intel A)"));
}

TEST(Classify, NamesTheNumberOfVcpusThatTheSizesAreOf) {
  Sizes sizes = of_c();
  sizes.ncpus = 3;
  EXPECT_THAT(verdict_on(sizes), HasSubstr("--assume ncpus=2"));
  EXPECT_EQ(verdict_on(sizes, {"ncpus=2"}), "C intel");
  sizes.ncpus = 0;
  EXPECT_THAT(verdict_on(sizes), HasSubstr("ncpus"));
  // More than the 16 records of generation A.
  Sizes many = of_a();
  many.ncpus = 17;
  EXPECT_THAT(verdict_on(many), HasSubstr("17 vCPUs"));
}

TEST(Classify, LetsAPersonDecide) {
  // Longer than it should be: the rest is ignored, as bhyve would.
  EXPECT_EQ(verdict_on(with(of_c(), "vmcx", 1845), {"vmcx=intel-920"}), "C intel");
  EXPECT_EQ(verdict_on(with(of_c(), "vm", 368 + 24), {"cpuset=24"}),
            "mixed; nearest to C, but for cpuset intel");
  EXPECT_THAT(verdict_on(of_c(), {"vmcx=amd-1028"}), HasSubstr("too few"));
  EXPECT_THAT(verdict_on(of_c(), {"generation=A"}), HasSubstr("too few"));
  EXPECT_EQ(verdict_on(of_c(), {"generation=C"}), "C intel");
}

TEST(Classify, NeedsVmcxOrAVendorThatIsAssumed) {
  Sizes sizes = of_c();
  sizes.chunks["vmcx"] = 0;
  EXPECT_THAT(verdict_on(sizes), HasSubstr("--assume vendor=intel"));
  EXPECT_EQ(verdict_on(sizes, {"vendor=amd"}), "C0, C amd");
}

TEST(Assumptions, AreCheckedOneByOne) {
  const auto refused = [](const std::string& text) {
    const auto parsed = Assumptions::parse(std::vector{text});
    return parsed ? "accepted" : parsed.error().message();
  };
  EXPECT_EQ(refused("prefix=A"), "accepted");
  EXPECT_EQ(refused("uarts=2"), "accepted");
  EXPECT_THAT(refused("prefix"), HasSubstr("AXIS=SHAPE"));
  EXPECT_THAT(refused("prefix=C"), HasSubstr("there is A, B"));
  EXPECT_THAT(refused("vmcx=intel"), HasSubstr("amd-1028"));
  EXPECT_THAT(refused("mon\x1b=A"), HasSubstr("net-tail"));
  EXPECT_THAT(refused("cpuset=12"), HasSubstr("multiple of 8"));
  EXPECT_THAT(refused("ncpus=-1"), HasSubstr("a number"));
  EXPECT_THAT(refused("ncpus=99999999999999999999"), HasSubstr("a number"));
}

TEST(Assumptions, OfAGenerationYieldToThoseOfAnAxis) {
  const auto parsed = Assumptions::parse(std::vector<std::string>{"generation=C0", "prefix=A"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->shape(axis::kPrefix, Vendor::kIntel), "A");
  EXPECT_EQ(parsed->shape(axis::kRings, Vendor::kIntel), "B");
  EXPECT_EQ(parsed->shape(axis::kVmcx, Vendor::kIntel), "intel-664");
  EXPECT_EQ(parsed->shape(axis::kVmcx, Vendor::kAmd), "amd-772");
  EXPECT_EQ(parsed->shape(axis::kUarts, Vendor::kAmd), std::nullopt);
}

TEST(Assumptions, AreTakenApartAndTold) {
  const auto parsed =
      Assumptions::parse(std::vector<std::string>{"vmcx=amd-772", "ncpus=3", "cpuset=64", "prefix=A"});
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->empty());
  EXPECT_EQ(parsed->said(axis::kPrefix), "A");
  EXPECT_EQ(parsed->said(axis::kRings), std::nullopt);
  EXPECT_EQ(parsed->number("ncpus"), 3u);
  EXPECT_EQ(parsed->number(axis::kCpuset), 64u);
  EXPECT_EQ(parsed->number(axis::kUarts), std::nullopt);
  EXPECT_EQ(parsed->generation(), std::nullopt);
  // The shape of the registers says whose they are.
  EXPECT_EQ(parsed->vendor(), Vendor::kAmd);
  EXPECT_EQ(parsed->text(), "cpuset=64, ncpus=3, prefix=A, vmcx=amd-772");
  EXPECT_TRUE(Assumptions().empty());
  EXPECT_EQ(Assumptions().vendor(), std::nullopt);
  EXPECT_EQ(Assumptions().text(), "");
}

TEST(Assumptions, AreMadeOnce) {
  const auto parsed = Assumptions::parse(std::vector<std::string>{"prefix=A", "prefix=A"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(parsed.error().message(), HasSubstr("prefix is assumed twice"));
}

TEST(KnownBugs, AreThoseOfTheDevices) {
  const auto names = [](std::string_view emulation, std::string_view layout) {
    Verdict verdict;
    ClassifiedEntry device;
    device.layout = find_layout(emulation, layout);
    verdict.entries.push_back(device);
    std::vector<std::string_view> out;
    for (const KnownBug& bug : known_bugs(verdict)) {
      out.push_back(bug.name);
      EXPECT_FALSE(bug.sentence.ends_with('.'));
    }
    return out;
  };
  EXPECT_THAT(names("e1000", "by axes"), testing::Contains("e1000-nvm-mode"));
  EXPECT_THAT(names("atkbdc", "A"), testing::Contains("ps2-queues"));
  EXPECT_THAT(names("xhci", "by axes"), testing::Contains("xhci-slot-map"));
  EXPECT_THAT(names("virtio-rnd", "by axes"), ElementsAre("no-fpu", "timers-not-armed", "no-firmware-state"));
}

TEST(KnownBugs, AreThoseOfAnAxis) {
  const auto has = [](std::string_view axis, std::string_view shape, std::string_view name) {
    Verdict verdict;
    verdict.say(axis, std::string(shape), Certainty::kCertain, "because");
    const auto bugs = known_bugs(verdict);
    return std::any_of(bugs.begin(), bugs.end(), [&](const KnownBug& bug) { return bug.name == name; });
  };
  EXPECT_TRUE(has(axis::kNetTail, "A", "net-features"));
  EXPECT_FALSE(has(axis::kNetTail, "B", "net-features"));
  EXPECT_TRUE(has(axis::kNames, "plain", "first-device-only"));
  EXPECT_FALSE(has(axis::kNames, "at", "first-device-only"));
}

TEST(KnownBugs, AreThoseOfTheGeneration) {
  const auto names = [](const Sizes& sizes) {
    const LegacyFiles files = files_of(sizes);
    const auto set = LegacySet::open(files.path());
    std::vector<std::string> out;
    const auto verdict = classify(*set);
    EXPECT_TRUE(verdict);
    if (!verdict) return out;
    for (const KnownBug& bug : known_bugs(*verdict)) out.emplace_back(bug.name);
    return out;
  };
  EXPECT_THAT(names(of_c()), ElementsAre("no-fpu", "timers-not-armed", "no-firmware-state"));
  EXPECT_THAT(names(of_b()), ElementsAre("empty-vmx", "tsc-dropped", "no-fpu", "timers-not-armed",
                                         "no-firmware-state", "meta-assert"));
  EXPECT_THAT(names(with(with(of_a(), "vmcx", 7936), "vmx", 50856)),
              ElementsAre("host-addresses", "amd-untested", "no-fpu", "timers-not-armed", "no-firmware-state",
                          "meta-assert"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
