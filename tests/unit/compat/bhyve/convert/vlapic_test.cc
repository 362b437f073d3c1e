// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vcpu_machine.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kLapic = "cpu0/lapic";

/// A page with registers at their offsets.
ByteVector page_of(const std::map<std::size_t, std::uint32_t>& registers) {
  ByteVector page(4096);
  for (const auto& [offset, value] : registers) std::memcpy(&page[offset], &value, sizeof value);
  return page;
}

std::map<std::size_t, std::uint32_t> busy_page() {
  return {{0x20, 3u << 24},   {0x30, 0x60010},  {0x80, 0x20},     {0xa0, 0xe0},     {0xd0, 0x08000000},
          {0xe0, 0xffffffff}, {0xf0, 0x1ff},    {0x110, 0x2},     {0x170, 0x8000},  {0x190, 0x4},
          {0x200, 0x10000},   {0x270, 0x80},    {0x280, 0x20},    {0x2f0, 0x100f2}, {0x300, 0x40fc},
          {0x310, 0x5000000}, {0x320, 0x200ef}, {0x330, 0x100fa}, {0x340, 0x400},   {0x350, 0x10700},
          {0x360, 0x400},     {0x370, 0xf0},    {0x380, 1000000}, {0x3e0, 0xb}};
}

ItemValues items_of(const ByteVector& page) {
  return {{"vcpu[0].apic_page", page},
          {"vcpu[0].esr_pending", 0x60u},
          // 2^27 Hz, divided by 1
          {"vcpu[0].timer_freq_bt.frac", std::uint64_t{1} << 37},
          {"vcpu[0].isrvec_stk", bytes_of({0, 0x21, 0xef, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
          {"vcpu[0].isrvec_stk_top", 2u},
          {"vcpu[0].lvt_last", array_of(4, {0x10700, 0x400, 0x200ef, 0xf0, 0x400, 0x100fa, 0x100f2})},
          {"vcpu[0].ccr", 999u}};
}

std::uint64_t lapic(const VcpuMachine& machine, std::string_view path) {
  return machine.field<std::optional<std::uint64_t>>(kLapic, path).value_or(0);
}

/// Takes one local APIC of Intel up and says what has to be kept of it.
std::vector<std::string> kept_of(VcpuMachine& machine, const ItemValues& items) {
  machine.with("vm", "B").with("vlapic", "B", items);
  const auto done = machine.up();
  EXPECT_TRUE(done) << done.error().to_string();
  const auto kept = machine.kept("vlapic");
  EXPECT_TRUE(kept) << kept.error().to_string();
  return kept ? *kept : std::vector<std::string>{"down failed"};
}

TEST(VlapicMapping, PutsTheRegistersOfThePageIntoTheirFieldsAndBack) {
  VcpuMachine machine(Vendor::kIntel, 1);
  EXPECT_THAT(kept_of(machine, items_of(page_of(busy_page()))), IsEmpty());
  EXPECT_EQ(lapic(machine, "apic_id"), 3);
  EXPECT_EQ(lapic(machine, "version"), 0x60010);
  EXPECT_EQ(lapic(machine, "tpr"), 0x20);
  EXPECT_EQ(lapic(machine, "ldr"), 0x08000000);
  EXPECT_EQ(lapic(machine, "dfr"), 0xffffffff);
  EXPECT_EQ(lapic(machine, "svr"), 0x1ff);
  EXPECT_EQ(lapic(machine, "esr"), 0x20);
  EXPECT_EQ(lapic(machine, "esr_pending"), 0x60);
  EXPECT_EQ(lapic(machine, "icr"), 0x5000000'000040fc);
  EXPECT_EQ(lapic(machine, "lvt_cmci"), 0x100f2);
  EXPECT_EQ(lapic(machine, "lvt_timer"), 0x200ef);
  EXPECT_EQ(lapic(machine, "lvt_thermal"), 0x100fa);
  EXPECT_EQ(lapic(machine, "lvt_performance"), 0x400);
  EXPECT_EQ(lapic(machine, "lvt_lint0"), 0x10700);
  EXPECT_EQ(lapic(machine, "lvt_lint1"), 0x400);
  EXPECT_EQ(lapic(machine, "lvt_error"), 0xf0);
  EXPECT_EQ(lapic(machine, "timer_initial_count"), 1000000);
  EXPECT_EQ(lapic(machine, "timer_current_count"), 999);
  EXPECT_EQ(lapic(machine, "timer_divide"), 0xb);
  EXPECT_EQ(lapic(machine, "timer_frequency"), 134'217'728);
  EXPECT_EQ(lapic(machine, "tsc_deadline"), 0);
  EXPECT_THAT(machine.field<std::vector<std::uint32_t>>(kLapic, "isr"),
              ElementsAre(0, 2, 0, 0, 0, 0, 0, 0x8000));
  EXPECT_THAT(machine.field<std::vector<std::uint32_t>>(kLapic, "tmr"), ElementsAre(0, 4, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(machine.field<std::vector<std::uint32_t>>(kLapic, "irr"),
              ElementsAre(0x10000, 0, 0, 0, 0, 0, 0, 0x80));
}

TEST(VlapicMapping, ReadsTheIdAndTheDestinationFormatByTheMode) {
  auto page = busy_page();
  page[0x20] = 300;
  page[0xd0] = 0x12 << 16 | 1 << 12;
  page[0xe0] = 0;
  VcpuMachine machine(Vendor::kAmd, 1);
  machine.with("vm", "C", {{"vcpu[0].x2apic_state", 1u}}).with("vlapic", "B", items_of(page_of(page)));
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(lapic(machine, "apic_id"), 300);
  EXPECT_EQ(lapic(machine, "dfr"), 0xffffffff);
  const auto kept = machine.kept("vlapic");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, IsEmpty());
}

TEST(VlapicMapping, DerivesThePriorityFromTheTaskWhereNothingHigherIsServed) {
  auto page = busy_page();
  page[0x80] = page[0xa0] = 0xf3;
  VcpuMachine machine(Vendor::kIntel, 1);
  EXPECT_THAT(kept_of(machine, items_of(page_of(page))), IsEmpty());
}

TEST(VlapicMapping, KeepsAPageWhoseOtherBytesAreNotZero) {
  auto page = busy_page();
  page[0xb0] = 1;
  VcpuMachine machine(Vendor::kIntel, 1);
  EXPECT_THAT(kept_of(machine, items_of(page_of(page))), ElementsAre("vcpu[0].apic_page"));
}

TEST(VlapicMapping, CountsTheFrequencyBeforeTheDivider) {
  struct {
    std::uint32_t divide;
    std::uint64_t divisor;
  } const cases[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.divide);
    auto page = busy_page();
    page[0x3e0] = one.divide;
    ItemValues items = items_of(page_of(page));
    items["vcpu[0].timer_freq_bt.frac"] = (std::uint64_t{1} << 63) / ((1u << 27) / one.divisor) * 2;
    VcpuMachine machine(Vendor::kIntel, 1);
    EXPECT_THAT(kept_of(machine, items), IsEmpty());
    EXPECT_EQ(lapic(machine, "timer_frequency"), 134'217'728);
  }
}

TEST(VlapicMapping, ReadsAFrequencyThatIsNoPowerOfTwo) {
  ItemValues items = items_of(page_of(busy_page()));
  items["vcpu[0].timer_freq_bt.frac"] = (std::uint64_t{1} << 63) / 100'000'000 * 2;
  VcpuMachine machine(Vendor::kIntel, 1);
  EXPECT_THAT(kept_of(machine, items), IsEmpty());
  EXPECT_EQ(lapic(machine, "timer_frequency"), 100'000'000);
}

TEST(VlapicMapping, TakesBhyvesOwnFrequencyWhereTheFileHasNone) {
  struct {
    std::uint64_t seconds, frac;
    std::string_view kept;
  } const cases[] = {
      {0, 0, "frac"}, {1, std::uint64_t{1} << 37, "sec"}, {0, 1, "frac"}, {~std::uint64_t{0}, 5, "sec"}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.frac);
    ItemValues items = items_of(page_of(busy_page()));
    items["vcpu[0].timer_freq_bt.sec"] = one.seconds;
    items["vcpu[0].timer_freq_bt.frac"] = one.frac;
    VcpuMachine machine(Vendor::kIntel, 1);
    EXPECT_THAT(kept_of(machine, items),
                ::testing::Contains("vcpu[0].timer_freq_bt." + std::string(one.kept)));
    EXPECT_EQ(lapic(machine, "timer_frequency"), 134'217'728);
  }
}

TEST(VlapicMapping, MakesACpuWaitWhoseBootStateDoesNotSayThatItRuns) {
  VcpuMachine machine(Vendor::kIntel, 3);
  machine.with("vm", "A").with(
      "vlapic", "A", {{"vcpu[0].boot_state", 2u}, {"vcpu[1].boot_state", 1u}, {"vcpu[2].boot_state", 0u}});
  ASSERT_TRUE(machine.up());
  EXPECT_EQ(machine.field<std::uint8_t>("cpu0", "run_state"), 0);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu1", "run_state"), 1);
  EXPECT_EQ(machine.field<std::uint8_t>("cpu2", "run_state"), 1);
  const auto kept = machine.kept("vlapic");
  ASSERT_TRUE(kept);
  EXPECT_THAT(*kept, ::testing::Not(::testing::Contains("vcpu[0].boot_state")));
  EXPECT_THAT(*kept, ::testing::Not(::testing::Contains("vcpu[1].boot_state")));
  EXPECT_THAT(*kept, ::testing::Contains("vcpu[2].boot_state"));
}

TEST(VlapicMapping, LosesNoWaitingCpuBetweenGenerations) {
  VcpuMachine machine(Vendor::kIntel, 2);
  machine.with("vm", "A").with("vlapic", "A", {{"vcpu[0].boot_state", 2u}, {"vcpu[1].boot_state", 1u}});
  ASSERT_TRUE(machine.up());
  const auto values = machine.down(*find_layout("vm", "B"));
  ASSERT_TRUE(values);
  EXPECT_EQ(std::get<ByteVector>(values->find("startup_cpus")->content), array_of(8, {2, 0, 0, 0}));
}

TEST(VlapicMapping, StacksAtMost16OfTheVectorsThatAreServed) {
  auto page = busy_page();
  for (std::size_t word = 0; word < 8; ++word) page[0x100 + 16 * word] = 0xffffffff;
  page[0xa0] = 0xf0;
  VcpuMachine machine(Vendor::kIntel, 1);
  EXPECT_THAT(kept_of(machine, items_of(page_of(page))),
              ElementsAre("vcpu[0].isrvec_stk", "vcpu[0].isrvec_stk_top"));
  const auto values = machine.down(*find_layout("vlapic", "B"));
  ASSERT_TRUE(values);
  EXPECT_EQ(std::get<ByteVector>(values->find("vcpu[0].isrvec_stk")->content),
            bytes_of({0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(std::get<std::uint64_t>(values->find("vcpu[0].isrvec_stk_top")->content), 16);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
