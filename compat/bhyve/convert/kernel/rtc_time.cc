// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/rtc_time.h"

#include <chrono>

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint8_t kBinary = 0x04;     // register B
constexpr std::uint8_t k24Hours = 0x02;    // register B
constexpr std::uint8_t kAfternoon = 0x80;  // of the hours, when they are 12
constexpr std::int64_t kDay = 24 * 60 * 60;

constexpr std::int64_t seconds_to(int year) {
  return std::chrono::sys_days(std::chrono::year(year) / 1 / 1).time_since_epoch().count() * kDay;
}
constexpr std::int64_t kBegin = seconds_to(0);
constexpr std::int64_t kEnd = seconds_to(10000);

std::uint8_t encode(std::int64_t number, std::uint8_t register_b) {
  if ((register_b & kBinary) != 0) return static_cast<std::uint8_t>(number);
  return static_cast<std::uint8_t>(number / 10 << 4 | number % 10);
}

std::optional<unsigned> decode(std::uint8_t stored, std::uint8_t register_b) {
  if ((register_b & kBinary) != 0) return stored;
  const unsigned tens = stored >> 4;
  const unsigned ones = stored & 0xf;
  if (tens > 9 || ones > 9) return std::nullopt;
  return 10 * tens + ones;
}

std::optional<unsigned> decode_hours(std::uint8_t stored, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return decode(stored, register_b);
  const auto of_twelve = decode(static_cast<std::uint8_t>(stored & ~kAfternoon), register_b);
  if (!of_twelve || *of_twelve < 1 || *of_twelve > 12) return std::nullopt;
  return *of_twelve % 12 + ((stored & kAfternoon) != 0 ? 12 : 0);
}

std::uint8_t encode_hours(std::int64_t hours, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return encode(hours, register_b);
  const std::uint8_t of_twelve = encode(hours % 12 == 0 ? 12 : hours % 12, register_b);
  return hours < 12 ? of_twelve : static_cast<std::uint8_t>(of_twelve | kAfternoon);
}

}  // namespace

bool is_rtc_time(std::int64_t time) {
  return time >= kBegin && time < kEnd;
}

RtcRegisters rtc_registers(std::int64_t time, std::uint8_t register_b) {
  const std::chrono::sys_seconds moment{std::chrono::seconds(time)};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::int64_t second = (moment - day).count();
  const std::chrono::year_month_day date(day);
  const int year = static_cast<int>(date.year());
  RtcRegisters registers;
  registers.seconds = encode(second % 60, register_b);
  registers.minutes = encode(second / 60 % 60, register_b);
  registers.hours = encode_hours(second / 3600, register_b);
  registers.day_of_week = encode(std::chrono::weekday(day).c_encoding() + 1, register_b);
  registers.day_of_month = encode(static_cast<unsigned>(date.day()), register_b);
  registers.month = encode(static_cast<unsigned>(date.month()), register_b);
  registers.year = encode(year % 100, register_b);
  registers.century = encode(year / 100, register_b);
  return registers;
}

std::optional<std::int64_t> rtc_time(const RtcRegisters& registers, std::uint8_t register_b) {
  const auto seconds = decode(registers.seconds, register_b);
  const auto minutes = decode(registers.minutes, register_b);
  const auto hours = decode_hours(registers.hours, register_b);
  const auto day = decode(registers.day_of_month, register_b);
  const auto month = decode(registers.month, register_b);
  const auto year = decode(registers.year, register_b);
  const auto century = decode(registers.century, register_b);
  if (!seconds || !minutes || !hours || !day || !month || !year || !century) return std::nullopt;
  if (*seconds > 59 || *minutes > 59 || *hours > 23 || *year > 99 || *century > 99) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*century * 100 + *year)),
                                         std::chrono::month(*month), std::chrono::day(*day));
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * kDay + *hours * 3600 + *minutes * 60 + *seconds;
}

}  // namespace vmsnap::compat::bhyve
