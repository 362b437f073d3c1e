// SPDX-License-Identifier: BSD-2-Clause
// Offsets are those of the reference, not of the layouts.
#include "value_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SampleChunk rtc() {
  return {"vrtc",
          "A",
          {{"sec", 0x59},
           {"min", 0x30},
           {"hour", 0x23},
           {"day_of_week", 1},
           {"day_of_month", 0x29},
           {"month", 2},
           {"year", 0x24},
           {"reg_b", 2},
           {"century", 0x20}},
          {}};
}

TEST(RtcValues, AreDecimalDigitsUnlessRegisterBSaysBinary) {
  EXPECT_THAT(odd(rtc()), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"sec", 0x5a}}), ElementsAre("12 sec suspicious"));
  EXPECT_THAT(odd(rtc(), {{"min", 0xa0}}), ElementsAre("14 min suspicious"));
  EXPECT_THAT(odd(rtc(), {{"century", 0x1f}}), ElementsAre("62 century suspicious"));
  const ItemValues binary = {{"reg_b", 6}, {"sec", 58},  {"min", 58},
                             {"hour", 23}, {"year", 99}, {"day_of_month", 29}};
  EXPECT_THAT(odd(rtc(), binary), IsEmpty());
}

TEST(RtcValues, AreWithinTheRangesOfClockAndCalendar) {
  EXPECT_THAT(odd(rtc(), {{"sec", 0x60}}), ElementsAre("12 sec suspicious"));
  EXPECT_THAT(odd(rtc(), {{"hour", 0x24}}), ElementsAre("16 hour suspicious"));
  EXPECT_THAT(odd(rtc(), {{"day_of_week", 0}}), ElementsAre("18 day_of_week suspicious"));
  EXPECT_THAT(odd(rtc(), {{"month", 0x13}}), ElementsAre("20 month suspicious"));
  EXPECT_THAT(odd(rtc(), {{"month", 0}}), ElementsAre("20 month suspicious"));
  EXPECT_THAT(odd(rtc(), {{"day_of_month", 0x30}}), ElementsAre("19 day_of_month suspicious"));
  EXPECT_THAT(odd(rtc(), {{"month", 4}, {"day_of_month", 0x30}}), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"month", 4}, {"day_of_month", 0x31}}), ElementsAre("19 day_of_month suspicious"));
  EXPECT_THAT(odd(rtc(), {{"addr", 128}}), ElementsAre("0 addr suspicious"));
}

TEST(RtcValues, Count12HoursWhenRegisterBSaysSo) {
  EXPECT_THAT(odd(rtc(), {{"reg_b", 0}, {"hour", 0x92}}), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"reg_b", 0}, {"hour", 0x13}}), ElementsAre("16 hour suspicious"));
}

TEST(RtcValues, OfAnAlarmCountOnlyWhenItIsArmedAndCares) {
  EXPECT_THAT(odd(rtc(), {{"alarm_sec", 0x7a}}), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"reg_b", 0x22}, {"alarm_sec", 0xff}}), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"reg_b", 0x22}, {"alarm_hour", 0x25}}), ElementsAre("17 alarm_hour suspicious"));
}

TEST(RtcValues, AreNotJudgedWhileTheGuestSetsTheClockOrHasSetItWrong) {
  EXPECT_THAT(odd(rtc(), {{"reg_b", 0x82}, {"sec", 0x7f}}), IsEmpty());
  EXPECT_THAT(odd(rtc(), {{"base_rtctime", ~std::uint64_t{0}}, {"month", 0x20}}), IsEmpty());
}

SampleChunk hpet() {
  SampleChunk chunk{"vhpet", "A", {{"freq_sbt", 256}}, {}};
  for (int timer = 0; timer < 8; ++timer)
    chunk.items[fmt::format("timer[{}].cap_config", timer)] = std::uint64_t{0xff00'0000'0000'8010};
  return chunk;
}

TEST(HpetValues, HaveATickThatIsNotZero) {
  EXPECT_THAT(odd(hpet()), IsEmpty());
  EXPECT_THAT(odd(hpet(), {{"freq_sbt", 0}}), ElementsAre("0 freq_sbt crash"));
  EXPECT_THAT(odd(hpet(), {{"freq_sbt", -5}}), ElementsAre("0 freq_sbt suspicious"));
}

TEST(HpetValues, HaveTheBitsOfTheirRegisters) {
  EXPECT_THAT(odd(hpet(), {{"config", 3}, {"isr", 0xff}}), IsEmpty());
  EXPECT_THAT(odd(hpet(), {{"config", 4}}), ElementsAre("8 config suspicious"));
  EXPECT_THAT(odd(hpet(), {{"isr", 0x100}}), ElementsAre("16 isr suspicious"));
}

TEST(HpetValues, OfAComparatorAgreeWithItsCapabilities) {
  const auto with = [](std::uint64_t config) { return odd(hpet(), {{"timer[1].cap_config", config}}); };
  const auto told = ElementsAre("60 timer[1].cap_config suspicious");
  EXPECT_THAT(with(0xff00'0000'0000'c01c), IsEmpty());
  EXPECT_THAT(with(0xff00'0000'0000'b010), IsEmpty());  // pin 24
  EXPECT_THAT(with(0xff00'0000'0000'8008), told);       // periodic
  EXPECT_THAT(with(0xff00'0000'0000'4010), told);       // messages
  EXPECT_THAT(with(0xff00'0000'0000'8410), told);       // pin 2
  EXPECT_THAT(with(0xff00'0000'0001'8010), told);
}

TEST(PitValues, AreThoseOfControlWords) {
  const SampleChunk pit{
      "vatpit", "A", {{"freq_bt.frac", 15460401}, {"ch0.mode", 4}, {"ch1.status", 0xc0}}, {}};
  EXPECT_THAT(odd(pit), IsEmpty());
  EXPECT_THAT(odd(pit, {{"freq_bt.frac", 0}}), ElementsAre("8 freq_bt.frac crash"));
  EXPECT_THAT(odd(pit, {{"ch0.mode", 16}}), ElementsAre("16 ch0.mode suspicious"));
  EXPECT_THAT(odd(pit, {{"ch1.status", 0x41}}), ElementsAre("95 ch1.status suspicious"));
  EXPECT_THAT(odd(pit, {{"ch2.crbyte", 3}}), ElementsAre("148 ch2.crbyte crash"));
  EXPECT_THAT(odd(pit, {{"ch2.frbyte", -1}}), ElementsAre("152 ch2.frbyte suspicious"));
}

TEST(PicValues, AreThoseOfAnInitialisedPair) {
  const SampleChunk pic{"vatpic", "A", {{"pic[0].irq_base", 0x20}, {"pic[1].irq_base", 0x28}}, {}};
  EXPECT_THAT(odd(pic), IsEmpty());
  EXPECT_THAT(odd(pic, {{"pic[0].irq_base", 0x21}}), ElementsAre("13 pic[0].irq_base suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[0].irq_base", 0x100}}), ElementsAre("13 pic[0].irq_base suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[1].icw_num", 6}}), ElementsAre("59 pic[1].icw_num suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[0].rd_cmd_reg", 2}}), ElementsAre("5 pic[0].rd_cmd_reg suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[0].lowprio", 8}}), ElementsAre("53 pic[0].lowprio suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[0].aeoi", 2}}), ElementsAre("9 pic[0].aeoi suspicious"));
  EXPECT_THAT(odd(pic, {{"pic[0].acnt", array_of(4, {0, 1, 0xffffffff, 0, 0, 0, 0, 0})}}),
              ElementsAre("29 pic[0].acnt[2] suspicious"));
  EXPECT_THAT(odd(pic, {{"elc", array_of(1, {0xf8, 0xde})}}), IsEmpty());
  EXPECT_THAT(odd(pic, {{"elc", array_of(1, {0x04, 0x20})}}),
              ElementsAre("116 elc[0] suspicious", "117 elc[1] suspicious"));
}

TEST(IoapicValues, AreRedirectionsThatThereCanBe) {
  SampleChunk ioapic{"vioapic", "A", {}, {}};
  for (int pin = 0; pin < 32; ++pin)
    ioapic.items[fmt::format("pin[{}].reg", pin)] = std::uint64_t{0x0001'0000'0001'0000};
  const auto with = [&](std::uint64_t entry) { return odd(ioapic, {{"pin[2].reg", entry}}); };
  const auto told = ElementsAre("28 pin[2].reg suspicious");
  EXPECT_THAT(odd(ioapic), IsEmpty());
  EXPECT_THAT(with(0x0200'0000'0000'c031), IsEmpty());
  EXPECT_THAT(with(0x700), IsEmpty());  // ExtINT has no vector
  EXPECT_THAT(with(0x331), told);
  EXPECT_THAT(with(0x00f), told);
  EXPECT_THAT(with(0x4031), told);
  EXPECT_THAT(with(0x0000'0001'0000'0031), told);
  EXPECT_THAT(odd(ioapic, {{"pin[31].acnt", -1}}), ElementsAre("384 pin[31].acnt suspicious"));
  EXPECT_THAT(odd(ioapic, {{"ioregsel", 0x100}}), ElementsAre("0 ioregsel suspicious"));
}

ByteVector apic_page(const std::vector<std::pair<std::size_t, std::uint32_t>>& changes = {}) {
  ByteVector page(4096);
  const auto put = [&](std::size_t at, std::uint32_t value) { store_le<std::uint32_t>(page, at, value); };
  put(0x30, 0x00060014);
  for (const std::size_t lvt : {0x2f0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370}) put(lvt, 0x10000);
  for (const auto& [at, value] : changes) put(at, value);
  return page;
}

SampleChunk lapic() {
  // A bus of 2^27 Hz, divided by 2, in fractions of 2^64.
  return {"vlapic",
          "B",
          {{"vcpu[0].apic_page", apic_page()}, {"vcpu[0].timer_freq_bt.frac", std::uint64_t{1} << 38}},
          {}};
}

TEST(LapicValues, AreThoseOfRegistersInTheirPage) {
  const auto with = [](std::size_t at, std::uint32_t value) {
    return odd(lapic(), {{"vcpu[0].apic_page", apic_page({{at, value}})}});
  };
  const auto told_at = [](std::size_t at) {
    return ElementsAre(fmt::format("{} vcpu[0].apic_page suspicious", at));
  };
  EXPECT_THAT(odd(lapic()), IsEmpty());
  EXPECT_THAT(with(0x20, 0x01000000), told_at(0x20));
  EXPECT_THAT(with(0x30, 0), told_at(0x30));
  EXPECT_THAT(with(0x320, 0x200ef), IsEmpty());
  EXPECT_THAT(with(0x320, 0x2000f), told_at(0x320));
  EXPECT_THAT(with(0x320, 0x600ef), told_at(0x320));
  EXPECT_THAT(with(0x350, 0x700), IsEmpty());
  EXPECT_THAT(with(0x350, 0x00f), told_at(0x350));
  EXPECT_THAT(with(0x180, 0x8000), told_at(0x180));
  EXPECT_THAT(with(0x200, 0x10000), IsEmpty());
  EXPECT_THAT(with(0x200, 0x8000), told_at(0x200));
  EXPECT_THAT(with(0x3e0, 0x4), told_at(0x3e0));
}

TEST(LapicValues, OfTheIdFitTheVcpuInBothModes) {
  SampleChunk two = lapic();
  two.guest.ncpus = 2;
  const ItemValues second = {{"vcpu[1].timer_freq_bt.frac", std::uint64_t{1} << 38}};
  for (const std::uint32_t id : {1u, 0x01000000u}) {
    ItemValues changes = second;
    changes["vcpu[1].apic_page"] = apic_page({{0x20, id}});
    EXPECT_THAT(odd(two, changes), IsEmpty());
  }
  ItemValues changes = second;
  changes["vcpu[1].apic_page"] = apic_page({{0x20, 2}});
  EXPECT_THAT(odd(two, changes), ElementsAre("4201 vcpu[1].apic_page suspicious"));
}

TEST(LapicValues, OfWhatIsServedAgreeWithPriorityAndStack) {
  // Vector 0x41 is being served.
  const auto page = [](std::uint32_t ppr) { return apic_page({{0x120, 2}, {0xa0, ppr}}); };
  const auto stack = [](unsigned vector) {
    return array_of(1, {0, vector, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  };
  const auto with = [&](std::uint32_t ppr, unsigned vector, int top) {
    return odd(lapic(), {{"vcpu[0].apic_page", page(ppr)},
                         {"vcpu[0].isrvec_stk", stack(vector)},
                         {"vcpu[0].isrvec_stk_top", top}});
  };
  EXPECT_THAT(with(0x40, 0x41, 1), IsEmpty());
  EXPECT_THAT(with(0x50, 0x41, 1), IsEmpty());  // held off by TPR
  EXPECT_THAT(with(0x40, 0, 0), IsEmpty());     // delivered by the processor
  EXPECT_THAT(with(0x30, 0x41, 1), ElementsAre("160 vcpu[0].apic_page suspicious"));
  EXPECT_THAT(with(0x40, 0x42, 1), ElementsAre("4117 vcpu[0].isrvec_stk[1] crash"));
  EXPECT_THAT(with(0x40, 0x41, 2), ElementsAre("4118 vcpu[0].isrvec_stk[2] crash"));
  EXPECT_THAT(with(0x40, 0x41, 17), ElementsAre("4133 vcpu[0].isrvec_stk_top crash"));
  EXPECT_THAT(odd(lapic(),
                  {{"vcpu[0].isrvec_stk", array_of(1, {7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})}}),
              ElementsAre("4116 vcpu[0].isrvec_stk[0] crash"));
}

TEST(LapicValues, OfTheTimerAgreeWithItsDivisorAndInitialCount) {
  const auto page = apic_page({{0x3e0, 0xb}, {0x380, 100}});  // divided by 1
  EXPECT_THAT(odd(lapic(), {{"vcpu[0].apic_page", page},
                            {"vcpu[0].timer_freq_bt.frac", std::uint64_t{1} << 37},
                            {"vcpu[0].ccr", 100}}),
              IsEmpty());
  EXPECT_THAT(odd(lapic(), {{"vcpu[0].apic_page", page}}),
              ElementsAre("4108 vcpu[0].timer_freq_bt.frac suspicious"));
  EXPECT_THAT(odd(lapic(), {{"vcpu[0].timer_freq_bt.frac", 0}}),
              ElementsAre("4108 vcpu[0].timer_freq_bt.frac crash"));
  EXPECT_THAT(odd(lapic(), {{"vcpu[0].ccr", 1}}), ElementsAre("4165 vcpu[0].ccr suspicious"));
}

TEST(LapicValues, OfGenerationAHaveABootState) {
  SampleChunk old = lapic();
  old.shape = "A";
  EXPECT_THAT(odd(old, {{"vcpu[0].boot_state", 2}}), IsEmpty());
  EXPECT_THAT(odd(old, {{"vcpu[0].boot_state", 3}}), ElementsAre("4137 vcpu[0].boot_state suspicious"));
}

SampleChunk machine() {
  return {"vm",
          "B",
          {{"vcpu[0].guest_xcr0", 7}, {"vcpu[1].guest_xcr0", 1}, {"startup_cpus", array_of(8, {2, 0, 0, 0})}},
          {},
          {2, std::uint64_t{8} << 20}};
}

TEST(VmValues, OfAVcpuAreOnesThatItCanHave) {
  EXPECT_THAT(odd(machine()), IsEmpty());
  EXPECT_THAT(odd(machine(), {{"vcpu[1].x2apic_state", 2}}),
              ElementsAre("184 vcpu[1].x2apic_state suspicious"));
  EXPECT_THAT(odd(machine(), {{"vcpu[0].guest_xcr0", 6}}), ElementsAre("24 vcpu[0].guest_xcr0 crash"));
  EXPECT_THAT(odd(machine(), {{"vcpu[0].exc_vector", 32}}), ElementsAre("12 vcpu[0].exc_vector suspicious"));
  EXPECT_THAT(odd(machine(), {{"vcpu[0].exitinfo.inst_length", 16}}),
              ElementsAre("36 vcpu[0].exitinfo.inst_length suspicious"));
}

TEST(VmValues, OfAnInterruptedEventAreOnesThatAProcessorReports) {
  const auto with = [](std::uint64_t event) { return odd(machine(), {{"vcpu[0].exitintinfo", event}}); };
  const auto told = ElementsAre("4 vcpu[0].exitintinfo suspicious");
  EXPECT_THAT(with(0x80000b0e), IsEmpty());
  EXPECT_THAT(with(0x80000202), IsEmpty());
  EXPECT_THAT(with(0x7ffff1ff), IsEmpty());  // not valid
  EXPECT_THAT(with(0x80001030), told);
  EXPECT_THAT(with(0x80000130), told);
  EXPECT_THAT(with(0x80000203), told);
  EXPECT_THAT(with(0x80000320), told);
}

TEST(VmValues, NameNoVcpuThatThereIsNot) {
  EXPECT_THAT(odd(machine(), {{"startup_cpus", array_of(8, {3, 4, 0, 0})}}),
              ElementsAre("376 startup_cpus[1] suspicious"));
}

SampleChunk registers() {
  return {"vmcx",
          "Intel C",
          {{"vcpu[0].cr0", 0x80050033},
           {"vcpu[0].cr3", 0x1000},
           {"vcpu[0].cr4", 0x26f0},
           {"vcpu[0].rflags", 2},
           {"vcpu[0].efer", 0xd01},
           {"vcpu[0].CS.access", 0xa09b},
           {"vcpu[0].TR.access", 0x8b},
           {"vcpu[0].msr.PAT", std::uint64_t{0x0007'0406'0007'0406}}},
          {}};
}

std::vector<std::string> odd_register(std::string_view name, std::uint64_t value) {
  return odd(registers(), {{fmt::format("vcpu[0].{}", name), value}});
}

TEST(VcpuValues, AreOnesWithWhichAProcessorEntersAGuest) {
  constexpr std::uint64_t kNotCanonical = std::uint64_t{1} << 60;
  EXPECT_THAT(odd(registers()), IsEmpty());
  EXPECT_THAT(odd_register("cr0", 0x180050033), ElementsAre("0 vcpu[0].cr0 crash"));
  EXPECT_THAT(odd_register("cr0", 0xa0050033), ElementsAre("0 vcpu[0].cr0 crash"));
  EXPECT_THAT(odd_register("cr0", 0x33), ElementsAre("248 vcpu[0].efer crash"));
  EXPECT_THAT(odd_register("cr3", 0x40000000), ElementsAre("8 vcpu[0].cr3 crash"));
  EXPECT_THAT(odd_register("cr4", 0x26d0), ElementsAre("16 vcpu[0].cr4 crash"));
  EXPECT_THAT(odd_register("cr4", 0x8026f0), IsEmpty());  // CET
  EXPECT_THAT(odd_register("cr4", 0xa6f0), ElementsAre("16 vcpu[0].cr4 crash"));
  EXPECT_THAT(odd_register("efer", 0x80000d01), ElementsAre("248 vcpu[0].efer crash"));
  EXPECT_THAT(odd_register("dr7", 0x100000400), ElementsAre("24 vcpu[0].dr7 crash"));
  EXPECT_THAT(odd_register("rflags", 0), ElementsAre("48 vcpu[0].rflags crash"));
  EXPECT_THAT(odd_register("rflags", 0xa), ElementsAre("48 vcpu[0].rflags crash"));
  EXPECT_THAT(odd_register("rip", kNotCanonical), ElementsAre("40 vcpu[0].rip crash"));
  EXPECT_THAT(odd_register("activity", 4), ElementsAre("352 vcpu[0].activity crash"));
  EXPECT_THAT(odd_register("interruptibility", 2), IsEmpty());
  EXPECT_THAT(odd_register("interruptibility", 3), ElementsAre("344 vcpu[0].interruptibility crash"));
  EXPECT_THAT(odd_register("interruptibility", 0x20), ElementsAre("344 vcpu[0].interruptibility crash"));
}

TEST(VcpuValues, OfSegmentsAgreeWithTheMode) {
  EXPECT_THAT(odd_register("CS.access", 0x10000), ElementsAre("100 vcpu[0].CS.access crash"));
  EXPECT_THAT(odd_register("CS.access", 0xc093), ElementsAre("100 vcpu[0].CS.access crash"));
  EXPECT_THAT(odd_register("CS.access", 0xe09b), ElementsAre("100 vcpu[0].CS.access crash"));
  EXPECT_THAT(odd_register("TR.access", 0x10000), ElementsAre("220 vcpu[0].TR.access crash"));
  EXPECT_THAT(odd_register("FS.base", std::uint64_t{1} << 60), ElementsAre("160 vcpu[0].FS.base crash"));
  EXPECT_THAT(odd_register("ES.selector", 0x10000), ElementsAre("56 vcpu[0].ES.selector suspicious"));
}

TEST(VcpuValues, OfMsrsAreOnesThatTheHostCanWrite) {
  EXPECT_THAT(odd_register("msr.LSTAR", std::uint64_t{1} << 60), ElementsAre("376 vcpu[0].msr.LSTAR crash"));
  EXPECT_THAT(odd_register("msr.KGSBASE", std::uint64_t{1} << 60),
              ElementsAre("408 vcpu[0].msr.KGSBASE crash"));
  EXPECT_THAT(odd_register("msr.SF_MASK", std::uint64_t{1} << 32),
              ElementsAre("400 vcpu[0].msr.SF_MASK crash"));
  EXPECT_THAT(odd_register("msr.TSC_AUX", std::uint64_t{1} << 32),
              ElementsAre("424 vcpu[0].msr.TSC_AUX crash"));
  EXPECT_THAT(odd_register("msr.PAT", 0x0007'0206), ElementsAre("417 vcpu[0].msr.PAT crash"));
  SampleChunk old{"vmx", "Intel A", {{"vcpu[0].msr.LSTAR", std::uint64_t{1} << 60}}, {}};
  EXPECT_THAT(odd(old), ElementsAre("0 vcpu[0].msr.LSTAR crash"));
}

TEST(MtrrValues, AreMemoryTypesWithinTheWidthOfAnAddress) {
  EXPECT_THAT(odd_register("mtrr.def_type", 0xc06), IsEmpty());
  EXPECT_THAT(odd_register("mtrr.def_type", 0xc02), ElementsAre("496 vcpu[0].mtrr.def_type suspicious"));
  EXPECT_THAT(odd_register("mtrr.def_type", 0x1006), ElementsAre("496 vcpu[0].mtrr.def_type suspicious"));
  EXPECT_THAT(
      odd(registers(), {{"vcpu[0].mtrr.fixed4k", array_of(8, {0, 0x0605040100060606, 0, 7, 0, 0, 0, 0})}}),
      ElementsAre("528 vcpu[0].mtrr.fixed4k[3] suspicious"));
  EXPECT_THAT(odd_register("mtrr.fixed64k", 0x0600000000000003),
              ElementsAre("584 vcpu[0].mtrr.fixed64k[0] suspicious"));
}

TEST(MtrrValues, OfARangeCountOnlyWhileItIsInUse) {
  const auto with = [](std::uint64_t base, std::uint64_t mask) {
    return odd(registers(), {{"vcpu[0].mtrr.var[1].base", base}, {"vcpu[0].mtrr.var[1].mask", mask}});
  };
  EXPECT_THAT(with(0xc0000000, 0x7fc0000800), IsEmpty());
  EXPECT_THAT(with(~std::uint64_t{0}, 0x7fc0000000), IsEmpty());
  EXPECT_THAT(with(0xc0000002, 0x7fc0000800), ElementsAre("608 vcpu[0].mtrr.var[1].base suspicious"));
  EXPECT_THAT(with(std::uint64_t{1} << 52, 0x7fc0000800),
              ElementsAre("608 vcpu[0].mtrr.var[1].base suspicious"));
  EXPECT_THAT(with(0xc0000000, 0x7fc0000801), ElementsAre("616 vcpu[0].mtrr.var[1].mask suspicious"));
}

TEST(ValueFindings, OfOneChunkAreLimitedAndSayThatThereAreMore) {
  SampleChunk many = registers();
  many.guest.ncpus = 60;
  const auto findings = findings_in(many);
  ASSERT_EQ(findings.size(), kMostValueFindings + 1);
  EXPECT_EQ(findings.back().code, "more-findings");
  EXPECT_EQ(findings.back().severity, Severity::kNote);
  EXPECT_THAT(findings.back().sentence, HasSubstr("more odd values"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
