// SPDX-License-Identifier: BSD-2-Clause
// The time registers of an MC146818 and the time they say.
#pragma once

#include <cstdint>
#include <optional>

namespace vmsnap::compat::bhyve {

/// As the guest reads them, and the byte of the RAM that a PC uses for the century.
struct RtcRegisters {
  std::uint8_t seconds = 0;
  std::uint8_t minutes = 0;
  std::uint8_t hours = 0;
  std::uint8_t day_of_week = 0;
  std::uint8_t day_of_month = 0;
  std::uint8_t month = 0;
  std::uint8_t year = 0;
  std::uint8_t century = 0;

  bool operator==(const RtcRegisters&) const = default;
};

/// Whether registers can say that time: seconds since 1970 within the years 0 to 9999.
[[nodiscard]] bool is_rtc_time(std::int64_t time);
/// The registers that say such a time in the encoding of register B.
[[nodiscard]] RtcRegisters rtc_registers(std::int64_t time, std::uint8_t register_b);
/// Nothing when they say no date.
[[nodiscard]] std::optional<std::int64_t> rtc_time(const RtcRegisters& registers, std::uint8_t register_b);

}  // namespace vmsnap::compat::bhyve
