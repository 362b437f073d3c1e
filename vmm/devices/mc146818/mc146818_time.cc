// SPDX-License-Identifier: BSD-2-Clause
#include "devices/mc146818/mc146818_time.h"

#include <algorithm>

namespace vmsnap::vmm::mc146818 {

namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::uint8_t kAfternoon = 0x80;
constexpr std::uint8_t kDoNotCare = 0xc0;

std::uint8_t encode(std::int64_t value, std::uint8_t register_b) {
  const std::int64_t digits = (register_b & kBinary) != 0 ? value : value / 10 * 16 + value % 10;
  return static_cast<std::uint8_t>(digits);
}

std::int64_t decode(std::uint8_t value, std::uint8_t register_b) {
  return (register_b & kBinary) != 0 ? value : (value >> 4) * 10 + (value & 0x0f);
}

std::uint8_t encode_hour(std::int64_t hour, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return encode(hour, register_b);
  const std::int64_t twelve = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<std::uint8_t>(encode(twelve, register_b) | (hour >= 12 ? kAfternoon : 0));
}

std::int64_t decode_hour(std::uint8_t value, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return decode(value, register_b);
  const std::int64_t twelve = decode(value & 0x7f, register_b) % 12;
  return twelve + ((value & kAfternoon) != 0 ? 12 : 0);
}

struct Date {
  std::int64_t year;
  std::int64_t month;  // 1..12
  std::int64_t day;    // 1..31
};

bool is_leap(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

std::int64_t days_in_month(std::int64_t year, std::int64_t month) {
  constexpr std::array<std::int64_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

/// Days from 0000-01-01 to January 1 of `year` (not negative), in the proleptic Gregorian calendar.
std::int64_t days_before_year(std::int64_t year) {
  if (year == 0) return 0;
  const std::int64_t past = year - 1;  // year 0 is a leap year and counts with the past ones
  return year * 365 + past / 4 - past / 100 + past / 400 + 1;
}

constexpr std::int64_t kEpochDay = 719'528;  // days_before_year(1970)

std::int64_t days_since_epoch(const Date& date) {
  std::int64_t days = days_before_year(date.year) - kEpochDay + date.day - 1;
  for (std::int64_t month = 1; month < date.month; ++month) days += days_in_month(date.year, month);
  return days;
}

Date date_of(std::int64_t days) {
  const std::int64_t day_number = days + kEpochDay;
  // The quotient is at most one year off, on either side.
  std::int64_t year = std::clamp<std::int64_t>(day_number * 400 / 146'097, 0, 9999);
  while (days_before_year(year) > day_number) --year;
  while (days_before_year(year + 1) <= day_number) ++year;
  std::int64_t rest = day_number - days_before_year(year);
  std::int64_t month = 1;
  while (rest >= days_in_month(year, month)) {
    rest -= days_in_month(year, month);
    ++month;
  }
  return {year, month, rest + 1};
}

/// Days and seconds of the day; the latter is never negative.
std::pair<std::int64_t, std::int64_t> split(std::int64_t seconds) {
  std::int64_t days = seconds / kSecondsPerDay;
  std::int64_t rest = seconds % kSecondsPerDay;
  if (rest < 0) {
    rest += kSecondsPerDay;
    --days;
  }
  return {days, rest};
}

}  // namespace

bool is_time_byte(std::uint8_t index) {
  switch (index) {
    case kSeconds:
    case kMinutes:
    case kHours:
    case kDayOfWeek:
    case kDayOfMonth:
    case kMonth:
    case kYear:
    case kCentury:
      return true;
    default:
      return false;
  }
}

void encode_time(std::int64_t seconds, Cmos& cmos) {
  const std::uint8_t b = cmos[kRegisterB];
  const auto [days, rest] = split(seconds);
  const Date date = date_of(days);
  cmos[kSeconds] = encode(rest % 60, b);
  cmos[kMinutes] = encode(rest / 60 % 60, b);
  cmos[kHours] = encode_hour(rest / 3600, b);
  cmos[kDayOfWeek] = encode((days + kEpochDay + 6) % 7 + 1, b);  // 1 is Sunday; 0000-01-01 was a Saturday
  cmos[kDayOfMonth] = encode(date.day, b);
  cmos[kMonth] = encode(date.month, b);
  cmos[kYear] = encode(date.year % 100, b);
  cmos[kCentury] = encode(date.year / 100, b);
}

std::int64_t decode_time(const Cmos& cmos) {
  const std::uint8_t b = cmos[kRegisterB];
  Date date{};
  date.year = std::min<std::int64_t>(decode(cmos[kCentury], b), 99) * 100 +
              std::min<std::int64_t>(decode(cmos[kYear], b), 99);
  date.month = std::clamp<std::int64_t>(decode(cmos[kMonth], b), 1, 12);
  date.day = std::clamp<std::int64_t>(decode(cmos[kDayOfMonth], b), 1, days_in_month(date.year, date.month));
  const std::int64_t hour = std::min<std::int64_t>(decode_hour(cmos[kHours], b), 23);
  const std::int64_t minute = std::min<std::int64_t>(decode(cmos[kMinutes], b), 59);
  const std::int64_t second = std::min<std::int64_t>(decode(cmos[kSeconds], b), 59);
  return days_since_epoch(date) * kSecondsPerDay + hour * 3600 + minute * 60 + second;
}

bool alarm_matches(std::int64_t seconds, const Cmos& cmos) {
  const std::uint8_t b = cmos[kRegisterB];
  const std::int64_t rest = split(seconds).second;
  const auto matches = [](std::uint8_t alarm, std::uint8_t now) {
    return (alarm & kDoNotCare) == kDoNotCare || alarm == now;
  };
  return matches(cmos[kSecondsAlarm], encode(rest % 60, b)) &&
         matches(cmos[kMinutesAlarm], encode(rest / 60 % 60, b)) &&
         matches(cmos[kHoursAlarm], encode_hour(rest / 3600, b));
}

std::uint32_t periodic_hz(std::uint8_t register_a) {
  const unsigned rate = register_a & kRateMask;
  if (rate == 0) return 0;
  if (rate <= 2) return 512U >> rate;  // the two slowest rates of the 32 kHz base stand first
  return 65'536U >> rate;
}

}  // namespace vmsnap::vmm::mc146818
