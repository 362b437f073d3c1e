// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/rtc_time.h"

#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kPath = "isa0/rtc@70";
/// 2024-02-29 13:05:09, a Thursday.
constexpr std::uint64_t kLeapDay = 1709211909;

MappingRun run_of(const ItemValues& items) {
  return MappingRun("vrtc", "A", {}, items);
}

ByteVector counting(unsigned first, std::size_t count) {
  ByteVector bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(first + i));
  return bytes;
}

/// A clock that counts, in BCD and 24 hours, whose registers were read at its time.
ItemValues running() {
  return {
      {"addr", 0x8cu},
      {"base_rtctime", kLeapDay},
      {"sec", 0x09u},
      {"alarm_sec", 0xc0u},
      {"min", 0x05u},
      {"alarm_min", 0x59u},
      {"hour", 0x13u},
      {"alarm_hour", 0x23u},
      {"day_of_week", 5u},
      {"day_of_month", 0x29u},
      {"month", 2u},
      {"year", 0x24u},
      {"reg_a", 0x26u},
      {"reg_b", 0x42u},
      {"reg_c", 0xc0u},
      {"reg_d", 0x80u},
      {"century", 0x20u},
      {"nvram", counting(0x10, 36)},
      {"nvram2", counting(0x80, 77)},
  };
}

TEST(Vrtc, GoesToTheRegistersAndTheRam) {
  auto run = run_of(running());
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  EXPECT_EQ(number("index"), 0x8cu);
  EXPECT_EQ(run.field<std::int64_t>(kPath, "time"), static_cast<std::int64_t>(kLeapDay));
  EXPECT_EQ(number("time_registers.seconds"), 0x09u);
  EXPECT_EQ(number("time_registers.hours"), 0x13u);
  EXPECT_EQ(number("time_registers.year"), 0x24u);
  EXPECT_EQ(number("alarm_registers.seconds"), 0xc0u);
  EXPECT_EQ(number("alarm_registers.minutes"), 0x59u);
  EXPECT_EQ(number("alarm_registers.hours"), 0x23u);
  EXPECT_EQ(number("register_a"), 0x26u);
  EXPECT_EQ(number("register_b"), 0x42u);
  EXPECT_EQ(number("register_c"), 0x40u);
  EXPECT_EQ(number("register_d"), 0x80u);
  EXPECT_EQ(number("divider_phase"), 0u);
  const auto nvram = run.field<ByteVector>(kPath, "nvram");
  ASSERT_EQ(nvram.size(), 114u);
  EXPECT_EQ(nvram[35], std::byte{0x10 + 35});
  EXPECT_EQ(nvram[36], std::byte{0x20});
  EXPECT_EQ(nvram[37], std::byte{0x80});
  EXPECT_EQ(nvram[113], std::byte{0x80 + 76});
  EXPECT_THAT(run.not_in_file(), SizeIs(2));
}

TEST(Vrtc, ShowsTheTimeInRegistersThatNobodyHasRead) {
  ItemValues items = running();
  items["sec"] = 0x08u;
  items["hour"] = 0x12u;
  items["century"] = 0u;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("sec", "hour", "century"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "time_registers.seconds"), 0x09u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "time_registers.hours"), 0x13u);
}

TEST(Vrtc, TakesTheTimeOfAClockThatTheGuestSetsFromItsRegisters) {
  ItemValues items = running();
  items["base_rtctime"] = ~std::uint64_t{0};
  items["reg_b"] = 0xc2u;
  items["min"] = 0x06u;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("base_rtctime"));
  EXPECT_EQ(run.field<std::int64_t>(kPath, "time"), static_cast<std::int64_t>(kLeapDay) + 60);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "time_registers.minutes"), 0x06u);
}

TEST(Vrtc, HasATimeAlsoWhenTheRegistersSayNoDate) {
  ItemValues items = running();
  items["base_rtctime"] = ~std::uint64_t{0};
  items["month"] = 0x7fu;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("base_rtctime"));
  EXPECT_EQ(run.field<std::int64_t>(kPath, "time"), 0);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "time_registers.month"), 0x7fu);
}

TEST(Vrtc, KeepsWhatNoClockCanHave) {
  ItemValues items = running();
  items["addr"] = 0x10cu;
  items["base_rtctime"] = std::uint64_t{1} << 63;
  items["reg_a"] = 0xa6u;
  items["reg_c"] = 0x4fu;
  items["reg_d"] = 0xffu;
  auto run = run_of(items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("addr", "base_rtctime", "reg_a", "reg_c", "reg_d"));
  EXPECT_EQ(run.field<std::int64_t>(kPath, "time"), static_cast<std::int64_t>(kLeapDay));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "register_a"), 0x26u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "register_c"), 0x40u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "register_d"), 0x80u);
}

TEST(RtcTime, ComesBackFromItsRegistersInEveryEncoding) {
  for (const std::int64_t time :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{kLeapDay}, std::int64_t{kLeapDay} - 13 * 3600,
        std::int64_t{kLeapDay} - 3600, std::int64_t{253402300799}, std::int64_t{-62167219200}}) {
    ASSERT_TRUE(is_rtc_time(time)) << time;
    for (unsigned encoding = 0; encoding < 4; ++encoding) {
      const auto register_b = static_cast<std::uint8_t>(encoding << 1);
      EXPECT_EQ(rtc_time(rtc_registers(time, register_b), register_b), time) << time << " " << +register_b;
    }
  }
  EXPECT_FALSE(is_rtc_time(253402300800));
  EXPECT_FALSE(is_rtc_time(-62167219201));
}

TEST(RtcTime, CountsTwelveHoursFromTwelve) {
  constexpr std::uint8_t kBinary12 = 0x04;
  const std::int64_t midnight = static_cast<std::int64_t>(kLeapDay) / 86400 * 86400;
  EXPECT_EQ(rtc_registers(midnight, kBinary12).hours, 12);
  EXPECT_EQ(rtc_registers(midnight + 3600, kBinary12).hours, 1);
  EXPECT_EQ(rtc_registers(midnight + 12 * 3600, kBinary12).hours, 0x8c);
  EXPECT_EQ(rtc_registers(midnight + 23 * 3600, kBinary12).hours, 0x8b);
  EXPECT_EQ(rtc_registers(midnight + 23 * 3600, 0).hours, 0x91);
}

TEST(RtcTime, IsNothingForWhatIsNoDate) {
  const RtcRegisters good = rtc_registers(static_cast<std::int64_t>(kLeapDay), 0x02);
  const auto broken = [&](std::uint8_t RtcRegisters::*member, std::uint8_t value) {
    RtcRegisters bad = good;
    bad.*member = value;
    return rtc_time(bad, 0x02);
  };
  ASSERT_TRUE(rtc_time(good, 0x02));
  EXPECT_FALSE(broken(&RtcRegisters::seconds, 0x60));
  EXPECT_FALSE(broken(&RtcRegisters::seconds, 0x0a));
  EXPECT_FALSE(broken(&RtcRegisters::minutes, 0xa0));
  EXPECT_FALSE(broken(&RtcRegisters::hours, 0x24));
  EXPECT_FALSE(broken(&RtcRegisters::day_of_month, 0x30));
  EXPECT_FALSE(broken(&RtcRegisters::day_of_month, 0));
  EXPECT_FALSE(broken(&RtcRegisters::month, 0x13));
  EXPECT_FALSE(broken(&RtcRegisters::year, 0xff));
  EXPECT_FALSE(broken(&RtcRegisters::century, 0x9a));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
