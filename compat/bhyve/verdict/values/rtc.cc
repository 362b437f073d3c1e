// SPDX-License-Identifier: BSD-2-Clause
// The clock of the MC146818.
#include <array>

#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kSet = 0x80, kAlarmInterrupt = 0x20, kBinary = 0x04, k24Hours = 0x02;
constexpr std::uint64_t kPm = 0x80;
constexpr std::uint64_t kDoNotCare = 0xc0;
/// What bhyve keeps instead of a time after the guest has written one that there is not.
constexpr std::int64_t kBrokenTime = -1;

class Clock {
 public:
  explicit Clock(ValueChecker& chunk) : chunk_(chunk), reg_b_(chunk.get_or_zero("reg_b")) {}

  void check() {
    chunk_.within("addr", 0, 127, "the index of a register");
    // While a guest sets the clock, and after it has set it wrong, the registers are its business.
    const bool is_set = (reg_b_ & kSet) == 0 && chunk_.signed_or_zero("base_rtctime") != kBrokenTime;
    if (!is_set) return;
    number("sec", 0, 59);
    number("min", 0, 59);
    hour("hour");
    number("day_of_week", 1, 7);
    check_date();
    number("century", 0, 99);
    if ((reg_b_ & kAlarmInterrupt) == 0) return;
    if (is_alarm("alarm_sec")) number("alarm_sec", 0, 59);
    if (is_alarm("alarm_min")) number("alarm_min", 0, 59);
    if (is_alarm("alarm_hour")) hour("alarm_hour");
  }

 private:
  [[nodiscard]] bool is_binary() const { return (reg_b_ & kBinary) != 0; }
  [[nodiscard]] bool is_alarm(std::string_view path) const {
    return (chunk_.get_or_zero(path) & kDoNotCare) != kDoNotCare;
  }

  /// What the register means; tells when it means nothing.
  std::optional<std::uint64_t> number(std::string_view path, std::uint64_t low, std::uint64_t high) {
    return number(path, chunk_.get_or_zero(path), low, high);
  }
  std::optional<std::uint64_t> number(std::string_view path, std::uint64_t raw, std::uint64_t low,
                                      std::uint64_t high) {
    if (!is_binary() && ((raw & 0xf) > 9 || raw >> 4 > 9)) {
      chunk_.say(
          path, "clock",
          fmt::format("{:#04x} are no decimal digits, which register B {:#04x} asks for", raw, reg_b_));
      return std::nullopt;
    }
    const std::uint64_t value = is_binary() ? raw : (raw >> 4) * 10 + (raw & 0xf);
    if (value >= low && value <= high) return value;
    chunk_.say(path, "clock",
               fmt::format("{:#04x} is {}, but there is only {} to {}", raw, value, low, high));
    return std::nullopt;
  }

  void hour(std::string_view path) {
    const std::uint64_t raw = chunk_.get_or_zero(path);
    if ((reg_b_ & k24Hours) != 0) {
      number(path, raw, 0, 23);
    } else {
      number(path, raw & ~kPm, 1, 12);
    }
  }

  void check_date() {
    constexpr std::array<std::uint64_t, 12> kDays = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    number("year", 0, 99);
    const auto month = number("month", 1, 12);
    const auto day = number("day_of_month", 1, 31);
    if (month && day && *day > kDays[static_cast<std::size_t>(*month - 1)])
      chunk_.say("day_of_month", "clock",
                 fmt::format("month {} has {} days, but this is the {}th", *month,
                             kDays[static_cast<std::size_t>(*month - 1)], *day));
  }

  ValueChecker& chunk_;
  std::uint64_t reg_b_;
};

}  // namespace

void check_vrtc(ValueChecker& chunk) {
  Clock(chunk).check();
}

}  // namespace vmsnap::compat::bhyve
