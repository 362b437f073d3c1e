// SPDX-License-Identifier: BSD-2-Clause
#include "devices/mc146818/mc146818.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <thread>

#include "devices/mc146818/mc146818_time.h"
#include "fakes.h"
#include "mc146818_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace mc146818;
using namespace testing;

constexpr std::int64_t kSecond = 1'000'000'000;

class Mc146818Test : public ::testing::Test {
 protected:
  std::uint8_t get(std::uint8_t index) { return get(device, index); }
  void put(std::uint8_t index, std::uint8_t value) { put(device, index, value); }
  static std::uint8_t get(Mc146818& from, std::uint8_t index) {
    out<std::uint8_t>(from, 0, index);
    return in<std::uint8_t>(from, 1);
  }
  static void put(Mc146818& to, std::uint8_t index, std::uint8_t value) {
    out<std::uint8_t>(to, 0, index);
    out<std::uint8_t>(to, 1, value);
  }
  schema::Mc146818T state() { return unpacked<schema::Mc146818>(saved(device), "RTC "); }
  static ByteVector packed(const schema::Mc146818T& state) { return *pack_state(state, "RTC "); }

  FakeClock clock;  // 2023-11-14 22:13:20, a Tuesday
  Mc146818 device{0x70, clock};
};

TEST(Mc146818Time, AgreesWithTheCalendarOfTheHost) {
  for (std::int64_t seconds = kMinTime; seconds <= kMaxTime; seconds += 86'400LL * 97 + 12'345) {
    Cmos cmos{};
    cmos[kRegisterB] = k24Hours | kBinary;
    encode_time(seconds, cmos);
    EXPECT_EQ(decode_time(cmos), seconds);
    const std::time_t time = seconds;
    std::tm tm{};
    ASSERT_NE(::gmtime_r(&time, &tm), nullptr);
    EXPECT_EQ(cmos[kSeconds], tm.tm_sec);
    EXPECT_EQ(cmos[kMinutes], tm.tm_min);
    EXPECT_EQ(cmos[kHours], tm.tm_hour);
    EXPECT_EQ(cmos[kDayOfWeek], tm.tm_wday + 1);
    EXPECT_EQ(cmos[kDayOfMonth], tm.tm_mday);
    EXPECT_EQ(cmos[kMonth], tm.tm_mon + 1);
    EXPECT_EQ(cmos[kCentury] * 100 + cmos[kYear], tm.tm_year + 1900);
  }
}

TEST(Mc146818Time, CoversItsBounds) {
  Cmos cmos{};
  cmos[kRegisterB] = k24Hours;
  for (const std::int64_t seconds : {kMinTime, kMaxTime, std::int64_t{0}, std::int64_t{-1}}) {
    encode_time(seconds, cmos);
    EXPECT_EQ(decode_time(cmos), seconds);
  }
  EXPECT_EQ(cmos[kHours], 0x23);
}

TEST(Mc146818Time, TellsTwelveHours) {
  Cmos cmos{};
  const std::uint8_t expected[24] = {0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
                                     0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91};
  for (int hour = 0; hour < 24; ++hour) {
    encode_time(hour * 3600, cmos);
    EXPECT_EQ(cmos[kHours], expected[hour]);
    EXPECT_EQ(decode_time(cmos), hour * 3600);
  }
}

TEST(Mc146818Time, MakesSenseOfNonsense) {
  Cmos cmos;
  cmos.fill(0xff);
  const std::int64_t time = decode_time(cmos);
  EXPECT_GE(time, kMinTime);
  EXPECT_LE(time, kMaxTime);
  cmos.fill(0);
  EXPECT_EQ(decode_time(cmos), kMinTime);
}

TEST(Mc146818Time, KnowsThePeriodicRates) {
  EXPECT_EQ(periodic_hz(0x20), 0U);
  EXPECT_EQ(periodic_hz(0x21), 256U);
  EXPECT_EQ(periodic_hz(0x22), 128U);
  EXPECT_EQ(periodic_hz(0x23), 8192U);
  EXPECT_EQ(periodic_hz(0x26), 1024U);
  EXPECT_EQ(periodic_hz(0x2f), 2U);
}

TEST_F(Mc146818Test, ShowsTheTimeOfTheHostInBcd) {
  EXPECT_EQ(get(kCentury), 0x20);
  EXPECT_EQ(get(kYear), 0x23);
  EXPECT_EQ(get(kMonth), 0x11);
  EXPECT_EQ(get(kDayOfMonth), 0x14);
  EXPECT_EQ(get(kDayOfWeek), 3);
  EXPECT_EQ(get(kHours), 0x22);
  EXPECT_EQ(get(kMinutes), 0x13);
  EXPECT_EQ(get(kSeconds), 0x20);
  EXPECT_EQ(get(kRegisterD), kValidRamAndTime);
}

TEST_F(Mc146818Test, RunsWithTheMonotonicClockAlone) {
  clock.realtime += 1000 * kSecond;
  EXPECT_EQ(get(kSeconds), 0x20);
  clock.monotonic += 45 * kSecond;
  EXPECT_EQ(get(kSeconds), 0x05);
  EXPECT_EQ(get(kMinutes), 0x14);
}

TEST_F(Mc146818Test, ShowsBinaryWhenAskedTo) {
  put(kRegisterB, k24Hours | kBinary);
  EXPECT_EQ(get(kHours), 22);
  EXPECT_EQ(get(kYear), 23);
}

TEST_F(Mc146818Test, TakesTheTimeThatTheGuestSetsAsLinuxSetsIt) {
  put(kRegisterB, get(kRegisterB) | kSet);
  put(kRegisterA, 0x76);  // divider held
  put(kYear, 0x99);
  put(kCentury, 0x19);
  put(kMonth, 0x12);
  put(kDayOfMonth, 0x31);
  put(kHours, 0x23);
  put(kMinutes, 0x59);
  put(kSeconds, 0x58);
  clock.monotonic += 10 * kSecond;  // stopped meanwhile
  put(kRegisterB, k24Hours);
  put(kRegisterA, 0x26);
  EXPECT_EQ(get(kSeconds), 0x58);
  clock.monotonic += kSecond / 2 - 1;
  EXPECT_EQ(get(kSeconds), 0x58);
  clock.monotonic += 1;  // the first update comes half a second after the divider is released
  EXPECT_EQ(get(kSeconds), 0x59);
  clock.monotonic += kSecond;
  EXPECT_EQ(get(kCentury), 0x20);
  EXPECT_EQ(get(kYear), 0x00);
  EXPECT_EQ(get(kDayOfWeek), 7);
}

TEST_F(Mc146818Test, StopsWhileSetIsSet) {
  clock.monotonic += 300'000'000;
  put(kRegisterB, k24Hours | kSet);
  clock.monotonic += 30 * kSecond;
  EXPECT_EQ(get(kSeconds), 0x20);
  put(kRegisterB, k24Hours);
  clock.monotonic += 699'999'999;
  EXPECT_EQ(get(kSeconds), 0x20);
  clock.monotonic += 1;
  EXPECT_EQ(get(kSeconds), 0x21);
}

TEST_F(Mc146818Test, KeepsDividingWhileSetIsSet) {
  put(kRegisterA, 0x2f);  // 2 Hz
  put(kRegisterB, k24Hours | kSet);
  (void)get(kRegisterC);
  clock.monotonic += 300'000'000;
  EXPECT_EQ(get(kRegisterC), 0);
  clock.monotonic += 300'000'000;
  EXPECT_EQ(get(kRegisterC), kPeriodicFlag);
  EXPECT_EQ(state().divider_phase, 600'000'000U);
  clock.monotonic += 2 * kSecond;
  EXPECT_EQ(get(kRegisterC), kPeriodicFlag) << "no update";
  EXPECT_EQ(get(kSeconds), 0x20);
  put(kRegisterB, k24Hours);
  clock.monotonic += 400'000'000;
  EXPECT_EQ(get(kSeconds), 0x21) << "counted at the end of the divider's second";
}

TEST_F(Mc146818Test, HoldsTheDividerWhereItWasOnAnotherTimeBase) {
  clock.monotonic += 300'000'000;
  put(kRegisterA, 0x06);  // 4.194304 MHz
  (void)get(kRegisterC);
  clock.monotonic += 5 * kSecond;
  EXPECT_EQ(get(kRegisterC), 0);
  EXPECT_EQ(get(kSeconds), 0x20);
  EXPECT_EQ(state().divider_phase, 300'000'000U);
}

TEST_F(Mc146818Test, GoesOnWithThePhaseOfThePeriodicInterruptAfterARestore) {
  put(kRegisterA, 0x2f);  // 2 Hz
  clock.monotonic += 1'200'000'000;
  (void)get(kRegisterC);
  const ByteVector first = saved(device);
  FakeClock other_clock;
  other_clock.monotonic = 999;
  Mc146818 other(0x70, other_clock);
  ASSERT_TRUE(other.restore(first));
  other_clock.monotonic += 77 * kSecond;
  other.resume();
  other_clock.monotonic += 299'999'999;
  EXPECT_EQ(get(other, kRegisterC), 0);
  other_clock.monotonic += 1;
  EXPECT_EQ(get(other, kRegisterC), kPeriodicFlag);
}

TEST_F(Mc146818Test, SaysThatTheTimeIsNotValidUntilRegisterDIsRead) {
  schema::Mc146818T flat = state();
  flat.register_d = 0;
  ASSERT_TRUE(device.restore(packed(flat)));
  EXPECT_EQ(state().register_d, 0);
  EXPECT_EQ(get(kRegisterD), 0);
  EXPECT_EQ(get(kRegisterD), kValidRamAndTime);
}

TEST_F(Mc146818Test, SavesEveryRegisterUnderItsName) {
  put(kSecondsAlarm, 0xc1);
  put(kMinutesAlarm, 0xc2);
  put(kHoursAlarm, 0xc3);
  put(0x0e, 0x5a);
  put(0x7f, 0xa5);
  put(kRegisterB, k24Hours | kSet);
  put(kDayOfWeek, 0x05);
  const schema::Mc146818T saved_state = state();
  EXPECT_EQ(saved_state.time_registers->seconds, 0x20);
  EXPECT_EQ(saved_state.time_registers->minutes, 0x13);
  EXPECT_EQ(saved_state.time_registers->hours, 0x22);
  EXPECT_EQ(saved_state.time_registers->day_of_week, 0x05);
  EXPECT_EQ(saved_state.time_registers->day_of_month, 0x14);
  EXPECT_EQ(saved_state.time_registers->month, 0x11);
  EXPECT_EQ(saved_state.time_registers->year, 0x23);
  EXPECT_EQ(saved_state.alarm_registers->seconds, 0xc1);
  EXPECT_EQ(saved_state.alarm_registers->minutes, 0xc2);
  EXPECT_EQ(saved_state.alarm_registers->hours, 0xc3);
  EXPECT_EQ(saved_state.register_a, 0x26);
  EXPECT_EQ(saved_state.register_b, k24Hours | kSet);
  EXPECT_EQ(saved_state.register_d, kValidRamAndTime);
  ASSERT_EQ(saved_state.nvram.size(), 114U);
  EXPECT_EQ(saved_state.nvram.front(), 0x5a);
  EXPECT_EQ(saved_state.nvram.back(), 0xa5);
  EXPECT_EQ(saved_state.nvram[0x32 - 0x0e], 0x20);
  EXPECT_EQ(saved_state.time, 1'700'000'000);
}

TEST_F(Mc146818Test, AnnouncesTheUpdate) {
  EXPECT_EQ(get(kRegisterA) & kUpdateInProgress, 0);
  clock.monotonic += kSecond - 200'000;
  EXPECT_EQ(get(kRegisterA) & kUpdateInProgress, kUpdateInProgress);
  clock.monotonic += 200'000;
  EXPECT_EQ(get(kRegisterA) & kUpdateInProgress, 0);
}

TEST_F(Mc146818Test, KeepsFlagsUntilRegisterCIsRead) {
  (void)get(kRegisterC);
  EXPECT_EQ(get(kRegisterC), 0);
  clock.monotonic += kSecond;
  EXPECT_EQ(get(kRegisterC), kUpdateFlag | kPeriodicFlag);
  EXPECT_EQ(get(kRegisterC), 0);
  put(kRegisterB, k24Hours | kUpdateEnable);
  clock.monotonic += kSecond;
  EXPECT_EQ(get(kRegisterC), kInterruptRequest | kUpdateFlag | kPeriodicFlag);
  clock.monotonic += 1'000'000;  // 1024 Hz
  EXPECT_EQ(get(kRegisterC), kPeriodicFlag);
}

TEST_F(Mc146818Test, FlagsTheAlarm) {
  put(kRegisterA, 0x20);
  put(kHoursAlarm, 0xff);
  put(kMinutesAlarm, 0x14);
  put(kSecondsAlarm, 0x01);
  put(kRegisterB, k24Hours | kAlarmEnable);
  (void)get(kRegisterC);
  clock.monotonic += 40 * kSecond;  // 22:14:00
  EXPECT_EQ(get(kRegisterC), kUpdateFlag);
  clock.monotonic += 5 * kSecond;
  EXPECT_EQ(get(kRegisterC), kInterruptRequest | kAlarmFlag | kUpdateFlag);
}

TEST_F(Mc146818Test, HoldsCmosBytesAndIgnoresTheNmiBit) {
  put(0x40, 0xab);
  EXPECT_EQ(get(0x40 | 0x80), 0xab);
  EXPECT_EQ(state().index, 0xc0);
  put(kRegisterD, 0);
  EXPECT_EQ(get(kRegisterD), kValidRamAndTime);
}

TEST_F(Mc146818Test, StandsStillFromRestoreToResume) {
  clock.monotonic += 1'250'000'000;
  put(0x50, 0x77);
  const ByteVector first = saved(device);
  EXPECT_EQ(state().time, 1'700'000'001);
  EXPECT_EQ(state().divider_phase, 250'000'000U);

  FakeClock other_clock;
  other_clock.realtime = 0;
  other_clock.monotonic = 123;
  Mc146818 other(0x70, other_clock);
  ASSERT_TRUE(other.restore(first));
  other_clock.monotonic += 100 * kSecond;
  EXPECT_EQ(saved(other), first);
  EXPECT_EQ(unpacked<schema::Mc146818>(saved(other), "RTC "), state());
  other.resume();
  EXPECT_EQ(get(other, kSeconds), 0x21);
  EXPECT_EQ(get(other, 0x50), 0x77);
  other_clock.monotonic += 750'000'000;
  EXPECT_EQ(get(other, kSeconds), 0x22);
}

TEST_F(Mc146818Test, AdvancesWhenAsked) {
  ASSERT_TRUE(device.restore(saved(device)));
  device.advance(3600 * kSecond);
  device.resume();
  EXPECT_EQ(get(kHours), 0x23);
  EXPECT_EQ(get(kMinutes), 0x13);
}

TEST_F(Mc146818Test, KeepsATimeThatIsBeingSetAcrossASave) {
  put(kRegisterB, k24Hours | kSet);
  put(kMinutes, 0x42);
  put(kDayOfWeek, 0x06);
  (void)get(kRegisterC);
  const ByteVector first = saved(device);
  FakeClock other_clock;
  Mc146818 other(0x70, other_clock);
  ASSERT_TRUE(other.restore(first));
  other.resume();
  other_clock.monotonic += 70 * kSecond;
  (void)get(other, kRegisterC);
  EXPECT_EQ(saved(other), first);
  EXPECT_EQ(get(other, kDayOfWeek), 0x06);
  put(other, kRegisterB, k24Hours);
  EXPECT_EQ(get(other, kMinutes), 0x42);
}

TEST_F(Mc146818Test, RefusesStatesThatTheHardwareCannotHave) {
  const schema::Mc146818T good = state();
  schema::Mc146818T bad = good;
  bad.nvram.resize(113);
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "nvram");
  bad = good;
  bad.nvram.resize(115);
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "nvram");
  bad = good;
  bad.register_a |= kUpdateInProgress;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "register_a");
  bad = good;
  bad.register_c |= kInterruptRequest;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "register_c");
  bad = good;
  bad.register_d |= 0x01;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "register_d");
  bad = good;
  bad.time = kMaxTime + 1;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "time");
  bad.time = kMinTime - 1;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "time");
  bad = good;
  bad.divider_phase = 1'000'000'000;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "divider_phase");
}

TEST_F(Mc146818Test, SurvivesTheEndOfItsCalendar) {
  schema::Mc146818T last = state();
  last.time = kMaxTime;
  last.divider_phase = 999'999'999;
  ASSERT_TRUE(device.restore(packed(last)));
  device.advance(INT64_MAX);
  device.resume();
  clock.monotonic += 5 * kSecond;
  EXPECT_EQ(get(kYear), 0x99);
  EXPECT_EQ(state().time, kMaxTime);
}

TEST_F(Mc146818Test, SurvivesDamagedStates) {
  put(kRegisterA, 0x76);  // the divider is held, so that the clock stands while it is compared
  expect_survives_damage(device);
}

class RealClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  // Near the end of a second and a minute, so that tests need not wait long.
  [[nodiscard]] std::int64_t realtime_ns() const override { return 1'700'000'039'950'000'000; }
};

class Mc146818InterruptTest : public ::testing::Test {
 protected:
  std::uint8_t get(std::uint8_t index) {
    out<std::uint8_t>(device, 0, index);
    return in<std::uint8_t>(device, 1);
  }
  void put(std::uint8_t index, std::uint8_t value) {
    out<std::uint8_t>(device, 0, index);
    out<std::uint8_t>(device, 1, value);
  }
  [[nodiscard]] bool raised_within(std::chrono::milliseconds limit) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!irq.level() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    return irq.level();
  }
  static constexpr std::chrono::milliseconds kLong{10'000};

  RealClock clock;
  FakeIrqLine irq;
  Mc146818 device{0x70, clock, &irq};
};

TEST_F(Mc146818InterruptTest, RaisesTheUpdateUntilRegisterCIsRead) {
  put(kRegisterB, k24Hours | kUpdateEnable);
  ASSERT_TRUE(raised_within(kLong));
  EXPECT_EQ(get(kRegisterC) & (kInterruptRequest | kUpdateFlag), kInterruptRequest | kUpdateFlag);
  EXPECT_FALSE(irq.level());
}

TEST_F(Mc146818InterruptTest, RaisesTheAlarm) {
  put(kHoursAlarm, 0xff);
  put(kMinutesAlarm, 0x14);
  put(kSecondsAlarm, 0x00);
  put(kRegisterB, k24Hours | kAlarmEnable);
  ASSERT_TRUE(raised_within(kLong));
  EXPECT_EQ(get(kRegisterC) & kAlarmFlag, kAlarmFlag);
  EXPECT_EQ(get(kMinutes), 0x14);
}

TEST_F(Mc146818InterruptTest, TicksAsOftenAsItIsAcknowledged) {
  put(kRegisterA, 0x26);
  put(kRegisterB, k24Hours | kPeriodicEnable);
  for (int tick = 0; tick < 20; ++tick) {
    ASSERT_TRUE(raised_within(kLong));
    EXPECT_EQ(get(kRegisterC) & kPeriodicFlag, kPeriodicFlag);
  }
  EXPECT_GE(irq.edges(), 20);
  put(kRegisterB, k24Hours);
  (void)get(kRegisterC);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(irq.level());
}

TEST_F(Mc146818InterruptTest, RaisesNothingBetweenQuiesceAndResume) {
  put(kRegisterB, k24Hours | kPeriodicEnable);
  ASSERT_TRUE(raised_within(kLong));
  ASSERT_TRUE(device.quiesce());
  const int calls = irq.calls();
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(irq.calls(), calls);
  device.resume();
  EXPECT_TRUE(irq.level());
  EXPECT_EQ(irq.edges(), 1);  // the level was told again, no new edge
  (void)get(kRegisterC);
  EXPECT_TRUE(raised_within(kLong));
}

TEST_F(Mc146818InterruptTest, GoesOnTickingAfterARestore) {
  put(kRegisterB, k24Hours | kPeriodicEnable);
  ASSERT_TRUE(raised_within(kLong));
  ASSERT_TRUE(device.quiesce());
  const ByteVector state = saved(device);
  FakeIrqLine other_irq;
  Mc146818 other(0x70, clock, &other_irq);
  ASSERT_TRUE(other.restore(state));
  EXPECT_EQ(saved(other), state);
  EXPECT_TRUE(other_irq.level());
  other.resume();
  out<std::uint8_t>(other, 0, kRegisterC);
  EXPECT_NE(in<std::uint8_t>(other, 1), 0);
  const int edges = other_irq.edges();
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  while (other_irq.edges() == edges && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_GT(other_irq.edges(), edges);
}

TEST_F(Mc146818Test, NamesItselfByItsPort) {
  EXPECT_EQ(device.describe().path, "isa0/rtc@70");
  EXPECT_EQ(device.describe().type, "mc146818");
}

}  // namespace
}  // namespace vmsnap::vmm
