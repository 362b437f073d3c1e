// SPDX-License-Identifier: BSD-2-Clause
#include "devices/acpi_pm/acpi_pm.h"

#include <gtest/gtest.h>

#include "acpi_pm_generated.h"
#include "devices/acpi_pm/acpi_pm_bits.h"
#include "fakes.h"

namespace vmsnap::vmm {
namespace {

using namespace acpi_pm;
using namespace testing;

constexpr std::int64_t kSecond = 1'000'000'000;

class AcpiPmTest : public ::testing::Test {
 protected:
  std::uint16_t get(std::uint64_t offset) { return in<std::uint16_t>(device, offset); }
  void put(std::uint64_t offset, std::uint16_t value) { out<std::uint16_t>(device, offset, value); }
  std::uint32_t timer() { return in<std::uint32_t>(device, kTimer); }
  schema::AcpiPmT state() { return unpacked<schema::AcpiPm>(saved(device), "ACPM"); }
  static ByteVector packed(const schema::AcpiPmT& state) { return *pack_state(state, "ACPM"); }

  FakeIrqLine sci;
  FakePower power;
  FakeClock clock;
  AcpiPm device{0x600, sci, power, clock};
};

TEST_F(AcpiPmTest, CountsAtTheFrequencyOfTheSpecification) {
  const std::uint32_t begin = timer();
  clock.monotonic += kSecond;
  EXPECT_EQ(timer() - begin, 3'579'545U);
  clock.monotonic += 2000 * kSecond;  // beyond 32 bits
  EXPECT_EQ(timer() - begin, static_cast<std::uint32_t>(2001ULL * 3'579'545U));
}

TEST_F(AcpiPmTest, IsAlwaysInAcpiMode) {
  EXPECT_EQ(get(kControl), kSciEnable);
  put(kControl, 0);
  EXPECT_EQ(get(kControl), kSciEnable);
}

TEST_F(AcpiPmTest, PowersOffOnSleepTypeFive) {
  put(kControl, 5U << kSleepTypeShift);
  EXPECT_EQ(power.power_offs, 0);
  EXPECT_EQ(get(kControl), kSciEnable | 5U << kSleepTypeShift);
  put(kControl, kSleepEnable | 3U << kSleepTypeShift);
  EXPECT_EQ(power.power_offs, 0);
  put(kControl, kSleepEnable | 5U << kSleepTypeShift);
  EXPECT_EQ(power.power_offs, 1);
  EXPECT_EQ(get(kControl) & kSleepEnable, 0);
}

TEST_F(AcpiPmTest, SignalsThePowerButtonUntilItIsCleared) {
  put(kEnable, kPowerButtonBit);
  EXPECT_FALSE(sci.level());
  device.press_power_button();
  EXPECT_TRUE(sci.level());
  EXPECT_EQ(get(kStatus), kPowerButtonBit);
  put(kStatus, kPowerButtonBit);
  EXPECT_FALSE(sci.level());
  EXPECT_EQ(get(kStatus), 0);
}

TEST_F(AcpiPmTest, SignalsGeneralPurposeEventsUntilTheyAreCleared) {
  put(kGpe0Enable, 0x8002);
  EXPECT_EQ(get(kGpe0Enable), 0x8002);
  device.signal_event(0);
  EXPECT_FALSE(sci.level()) << "not enabled";
  device.signal_event(15);
  EXPECT_TRUE(sci.level());
  EXPECT_EQ(get(kGpe0Status), 0x8001);
  out<std::uint8_t>(device, kGpe0Status + 1, 0x80);
  EXPECT_FALSE(sci.level());
  EXPECT_EQ(get(kGpe0Status), 0x0001);
  out<std::uint8_t>(device, kGpe0Enable, 0x01);
  EXPECT_TRUE(sci.level());
  EXPECT_EQ(get(kGpe0Enable), 0x8001);
}

TEST_F(AcpiPmTest, NamesTheFeatureOfGeneralPurposeEventsOnlyWhileTheyAreInUse) {
  EXPECT_TRUE(device.describe().features.empty());
  put(kGpe0Enable, 0x0001);
  EXPECT_EQ(device.describe().features, (std::vector<std::string>{"gpe0"}));
  put(kGpe0Enable, 0);
  EXPECT_TRUE(device.describe().features.empty());
  device.signal_event(3);
  EXPECT_EQ(device.describe().features, (std::vector<std::string>{"gpe0"}));
  EXPECT_EQ(device.describe().version, (ChunkVersion{1, 1}));
  EXPECT_EQ(device.describe().readable_since, (ChunkVersion{1, 0}));
}

TEST_F(AcpiPmTest, KeepsGeneralPurposeEventsAcrossARestore) {
  put(kGpe0Enable, 0x0004);
  device.signal_event(2);
  const ByteVector first = saved(device);
  FakeIrqLine other_sci;
  AcpiPm other(0x600, other_sci, power, clock);
  ASSERT_TRUE(other.restore(first));
  EXPECT_EQ(saved(other), first);
  EXPECT_TRUE(other_sci.level());
  EXPECT_EQ(in<std::uint16_t>(other, kGpe0Status), 0x0004);
  EXPECT_EQ(in<std::uint16_t>(other, kGpe0Enable), 0x0004);
}

TEST_F(AcpiPmTest, SetsTimerStatusWhenTheTopBitChanges) {
  EXPECT_EQ(get(kStatus), 0);
  clock.monotonic += 601 * kSecond;  // 2^31 ticks take 599.9 s
  EXPECT_EQ(get(kStatus), kTimerBit);
  put(kStatus, kTimerBit);
  EXPECT_EQ(get(kStatus), 0);
}

TEST_F(AcpiPmTest, ReadsBytesAndIgnoresWritesToTheTimer) {
  clock.monotonic += 1'000'000;
  const std::uint32_t value = timer();
  EXPECT_EQ(in<std::uint8_t>(device, kTimer), value & 0xff);
  EXPECT_EQ(in<std::uint8_t>(device, kTimer + 1), value >> 8 & 0xff);
  out<std::uint32_t>(device, kTimer, 0);
  EXPECT_EQ(timer(), value);
  out<std::uint8_t>(device, kEnable + 1, 0x01);
  EXPECT_EQ(get(kEnable), kPowerButtonBit);
}

TEST_F(AcpiPmTest, StandsStillFromRestoreToResume) {
  clock.monotonic += 3 * kSecond;
  put(kEnable, kPowerButtonBit);
  device.press_power_button();
  const ByteVector first = saved(device);
  const std::uint32_t value = timer();

  FakeIrqLine other_sci;
  FakeClock other_clock;
  other_clock.monotonic = 77;
  AcpiPm other(0x600, other_sci, power, other_clock);
  ASSERT_TRUE(other.restore(first));
  EXPECT_TRUE(other_sci.level());
  other_clock.monotonic += 9 * kSecond;
  EXPECT_EQ(saved(other), first);
  EXPECT_EQ(unpacked<schema::AcpiPm>(saved(other), "ACPM"), state());
  other.resume();
  EXPECT_EQ(in<std::uint32_t>(other, kTimer), value);
  other_clock.monotonic += kSecond;
  EXPECT_EQ(in<std::uint32_t>(other, kTimer), value + 3'579'545U);
}

TEST_F(AcpiPmTest, AdvancesWhenAsked) {
  const ByteVector first = saved(device);
  const std::uint32_t value = timer();
  ASSERT_TRUE(device.restore(first));
  device.advance(10 * kSecond);
  device.resume();
  EXPECT_EQ(timer(), value + 35'795'450U);
}

TEST_F(AcpiPmTest, RefusesStatesThatTheHardwareCannotHave) {
  const schema::AcpiPmT good = state();
  schema::AcpiPmT bad = good;
  bad.pm1_status = 0x0002;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "pm1_status");
  bad = good;
  bad.pm1_enable = kWakeBit;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "pm1_enable");
  bad = good;
  bad.pm1_control |= kSleepEnable;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "pm1_control");
  bad = good;
  bad.pm1_control = 0;
  expect_refused(device, packed(bad), ErrorKind::kUnsupported, "pm1_control");
}

TEST_F(AcpiPmTest, SurvivesDamagedStates) {
  expect_survives_damage(device);
}

TEST_F(AcpiPmTest, NamesItselfByItsPort) {
  EXPECT_EQ(device.describe().path, "isa0/acpi_pm@600");
  EXPECT_EQ(device.describe().type, "acpi_pm");
}

}  // namespace
}  // namespace vmsnap::vmm
