// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/report.h"

#include <gtest/gtest.h>

#include "migrate/report_text.h"

namespace vmsnap::compat {
namespace {

constexpr ChunkVersion k10{1, 0}, k11{1, 1};

MigrationReport sample() {
  MigrationReport report;
  report.from_level = 3;
  report.to_level = 1;
  report.devices.push_back({"cpu0/lapic", "lapic", {k10}, {}});
  report.devices.push_back(
      {"isa0/uart@3f8",
       "uart16550",
       {k11, k10},
       {{OutcomeKind::kCarried, "ier", "", "", false, false, k11, k10},
        {OutcomeKind::kCarried, "fcr", "", "", false, false, k11, k10},
        {OutcomeKind::kDefaulted, "phase", "0", "version 1.1 does not say", false, false, k11, k10},
        {OutcomeKind::kConverted, "time", "3 s", "in ns", false, false, k11, k10},
        {OutcomeKind::kLost, "transmit_fifo", "[0x41]", "the console misses it", true, false, k11, k10},
        {OutcomeKind::kLost, "seen", "true", "allowed so", true, true, k11, k10},
        {OutcomeKind::kLost, "note", "\"n\"", "a note", false, false, k11, k10}}});
  return report;
}

TEST(Report, IsRefusedForANoticeableLossThatNobodyAllowed) {
  MigrationReport report = sample();
  EXPECT_TRUE(report.refused());
  EXPECT_FALSE(report.devices[0].refused());
  EXPECT_TRUE(report.devices[1].refused());
  report.devices[1].outcomes[4].allowed = true;
  EXPECT_FALSE(report.refused());
}

TEST(Report, TheRefusalNamesDeviceFieldValueAndConsequence) {
  EXPECT_EQ(
      refusal(sample()).message(),
      "level 1 cannot express what the guest could miss: isa0/uart@3f8.transmit_fifo = [0x41] (the console "
      "misses it); allow each loss by its name, or keep the newer version");
  const Error of_device = refusal(sample().devices[1]);
  EXPECT_EQ(of_device.device(), "isa0/uart@3f8");
  EXPECT_EQ(of_device.message().substr(0, 24), "version 1.0 of uart16550");
}

TEST(Report, TheRefusalNamesNoMoreThanAPersonReads) {
  MigrationReport report = sample();
  const Outcome lost = report.devices[1].outcomes[4];
  for (int i = 0; i < 40; ++i) report.devices[1].outcomes.push_back(lost);
  EXPECT_NE(refusal(report).message().find("; and 9 more; allow"), std::string::npos);
}

TEST(Report, TextSaysWhatMattersFirst) {
  EXPECT_EQ(to_text(sample()),
            "level 3 -> 1\n"
            "isa0/uart@3f8  uart16550 1.1 -> 1.0\n"
            "  lost       transmit_fifo = [0x41]: the console misses it [refused]\n"
            "  lost       seen = true: allowed so [allowed]\n"
            "  lost       note = \"n\": a note [the guest cannot notice]\n"
            "  defaulted  phase = 0: version 1.1 does not say\n"
            "  converted  time = 3 s: in ns\n"
            "  carried    2 fields\n"
            "1 device left as it was\n");
  const std::string all = to_text(sample(), true);
  EXPECT_NE(all.find("  carried    ier\n  carried    fcr\n"), std::string::npos);
}

TEST(Report, JsonHoldsEverything) {
  const auto json = to_json(sample());
  EXPECT_EQ(json["from_level"], 3);
  EXPECT_EQ(json["to_level"], 1);
  EXPECT_EQ(json["refused"], true);
  ASSERT_EQ(json["devices"].size(), 2u);
  EXPECT_TRUE(json["devices"][0]["fields"].empty());
  const auto& device = json["devices"][1];
  EXPECT_EQ(device["device"], "isa0/uart@3f8");
  EXPECT_EQ(device["path"].dump(), R"(["1.1","1.0"])");
  EXPECT_EQ(device["fields"].size(), 7u);
  EXPECT_EQ(
      device["fields"][4].dump(),
      R"({"field":"transmit_fifo","outcome":"lost","value":"[0x41]","sentence":"the console misses it",)"
      R"("from":"1.1","to":"1.0","noticeable":true,"allowed":false})");
}

}  // namespace
}  // namespace vmsnap::compat
