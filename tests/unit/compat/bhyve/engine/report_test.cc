// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmsnap::compat::bhyve {
namespace {

using testing::HasSubstr;
using testing::Not;

ConversionReport sample() {
  ConversionReport report;
  report.chunks.push_back({"vhpet",
                           "A",
                           {"system0/hpet@fed00000"},
                           {{"config", FieldFate::kMapped, {}},
                            {"freq_sbt", FieldFate::kRecomputed, {}},
                            {"timer[0].callout_sbt", FieldFate::kMeaningless, "the uptime of the host"},
                            {"isr", FieldFate::kPrivate, {}}}});
  report.chunks.push_back({"vmx", {}, {}, {}});
  report.remarks.push_back({Remark::Kind::kRepair, "vmx", "it was empty"});
  return report;
}

NotInFile fpu(std::string device) {
  return {std::move(device), "x87 state", "the initial state", "a program computes nonsense"};
}

TEST(ConversionReport, CountsTheFieldsOfEachChunkByTheirFate) {
  EXPECT_EQ(to_text(sample()),
            "vhpet  system0/hpet@fed00000: 1 mapped, 1 recomputed, 1 private, 1 meaningless\n"
            "vmx: no fields\n"
            "repair  vmx: it was empty\n");
}

TEST(ConversionReport, NamesTheFieldsThatAreNotInHardwareWhenAsked) {
  const std::string text = to_text(sample(), true);
  EXPECT_THAT(text, HasSubstr("  meaningless  timer[0].callout_sbt: the uptime of the host\n"));
  EXPECT_THAT(text, HasSubstr("  private      isr\n"));
  EXPECT_THAT(text, Not(HasSubstr("config")));
  EXPECT_THAT(text, Not(HasSubstr("freq_sbt")));
}

TEST(ConversionReport, CountsTheFieldsOfCpusThatDoNotExist) {
  ConversionReport report;
  ChunkReport& chunk = report.chunks.emplace_back();
  chunk.chunk = "vm";
  const std::string nobody = "the machine has no such vCPU";
  chunk.fields.push_back({"vcpu[0].exc_vector", FieldFate::kPrivate, {}});
  chunk.fields.push_back({"vcpu[2].tsc", FieldFate::kMeaningless, nobody});
  EXPECT_EQ(to_text(report, true),
            "vm: 1 private, 1 meaningless\n"
            "  private      vcpu[0].exc_vector\n"
            "  meaningless  a field in records of CPUs that the machine does not have\n");
  chunk.fields.push_back({"vcpu[3].tsc", FieldFate::kMeaningless, nobody});
  EXPECT_THAT(to_text(report, true),
              HasSubstr("  meaningless  2 fields in records of CPUs that the machine"));
  EXPECT_EQ(to_json(report)["chunks"][0]["fields"].size(), 3u) << "JSON names them";
}

TEST(ConversionReport, SaysOfAllCpusAtOnceWhatIsNotInTheFile) {
  ConversionReport report;
  for (int i = 0; i < 64; ++i) report.not_in_file.push_back(fpu(fmt::format("cpu{}", i)));
  EXPECT_EQ(to_text(report),
            "not in the file:\n"
            "  CPUs 0-63  x87 state: the initial state; a program computes nonsense\n");
}

TEST(ConversionReport, SaysOfSomeCpusWhichTheyAre) {
  ConversionReport report;
  for (const int i : {0, 1, 2, 5, 7, 8}) report.not_in_file.push_back(fpu(fmt::format("cpu{}", i)));
  EXPECT_THAT(to_text(report), HasSubstr("  CPUs 0-2, 5, 7-8  x87 state"));
  report.not_in_file = {fpu("cpu3")};
  EXPECT_THAT(to_text(report), HasSubstr("  cpu3  x87 state"));
}

TEST(ConversionReport, KeepsNotesApartThatDiffer) {
  ConversionReport report;
  report.not_in_file = {fpu("cpu0"),        fpu("cpu0/lapic"), fpu("cpu1"),  fpu("cpu1/lapic"),
                        fpu("isa0/rtc@70"), fpu("cpus"),       fpu("cpu1x"), fpu("cpu")};
  report.not_in_file[2].instead = "another state";
  EXPECT_EQ(
      to_text(report),
      "not in the file:\n"
      "  cpu0, lapic of CPUs 0-1, isa0/rtc@70, cpus, cpu1x, cpu  x87 state: the initial state; a program "
      "computes nonsense\n"
      "  cpu1  x87 state: another state; a program computes nonsense\n");
}

TEST(ConversionReport, HasANoteForEachDeviceInJson) {
  ConversionReport report = sample();
  report.not_in_file = {fpu("cpu0"), fpu("cpu1")};
  const auto json = to_json(report);
  ASSERT_EQ(json["not_in_file"].size(), 2u);
  EXPECT_EQ(json["not_in_file"][1]["device"], "cpu1");
  EXPECT_EQ(json["not_in_file"][1]["consequence"], "a program computes nonsense");
  ASSERT_EQ(json["chunks"].size(), 2u);
  EXPECT_EQ(json["chunks"][0]["layout"], "A");
  EXPECT_EQ(json["chunks"][0]["devices"][0], "system0/hpet@fed00000");
  EXPECT_EQ(json["chunks"][0]["fields"][2]["fate"], "meaningless");
  EXPECT_EQ(json["chunks"][0]["fields"][2]["field"], "timer[0].callout_sbt");
  EXPECT_EQ(json["chunks"][1]["fields"].size(), 0u);
  EXPECT_EQ(json["remarks"][0]["kind"], "repair");
}

TEST(ConversionReport, HasLossesOnlyWhereARemarkIsOne) {
  ConversionReport report = sample();
  EXPECT_FALSE(report.has_losses());
  report.remarks.push_back({Remark::Kind::kLoss, "ahci", "it is gone"});
  EXPECT_TRUE(report.has_losses());
  EXPECT_THAT(to_text(report), HasSubstr("loss    ahci: it is gone\n"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
