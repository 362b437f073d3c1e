// SPDX-License-Identifier: BSD-2-Clause
// The calendar of the clock and the encoding of its registers, apart from the device so that they can be
// tested alone. Source: Motorola MC146818 data sheet, table 3.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vmsnap::vmm::mc146818 {

// Bytes of the CMOS RAM.
inline constexpr std::uint8_t kSeconds = 0x00;
inline constexpr std::uint8_t kSecondsAlarm = 0x01;
inline constexpr std::uint8_t kMinutes = 0x02;
inline constexpr std::uint8_t kMinutesAlarm = 0x03;
inline constexpr std::uint8_t kHours = 0x04;
inline constexpr std::uint8_t kHoursAlarm = 0x05;
inline constexpr std::uint8_t kDayOfWeek = 0x06;
inline constexpr std::uint8_t kDayOfMonth = 0x07;
inline constexpr std::uint8_t kMonth = 0x08;
inline constexpr std::uint8_t kYear = 0x09;
inline constexpr std::uint8_t kRegisterA = 0x0a;
inline constexpr std::uint8_t kRegisterB = 0x0b;
inline constexpr std::uint8_t kRegisterC = 0x0c;
inline constexpr std::uint8_t kRegisterD = 0x0d;
/// The first byte that is only RAM.
inline constexpr std::uint8_t kNvram = 0x0e;
/// Not of the data sheet, but of every PC: where the FADT's CENTURY points.
inline constexpr std::uint8_t kCentury = 0x32;
inline constexpr std::size_t kCmosSize = 128;

inline constexpr std::uint8_t kUpdateInProgress = 0x80;  // register A
inline constexpr std::uint8_t kDividerMask = 0x70;
inline constexpr std::uint8_t kDivider32768Hz = 0x20;
inline constexpr std::uint8_t kDividerReset = 0x60;  // 11x
inline constexpr std::uint8_t kRateMask = 0x0f;

inline constexpr std::uint8_t kSet = 0x80;  // register B
inline constexpr std::uint8_t kPeriodicEnable = 0x40;
inline constexpr std::uint8_t kAlarmEnable = 0x20;
inline constexpr std::uint8_t kUpdateEnable = 0x10;
inline constexpr std::uint8_t kBinary = 0x04;
inline constexpr std::uint8_t k24Hours = 0x02;

inline constexpr std::uint8_t kInterruptRequest = 0x80;  // register C
inline constexpr std::uint8_t kPeriodicFlag = 0x40;
inline constexpr std::uint8_t kAlarmFlag = 0x20;
inline constexpr std::uint8_t kUpdateFlag = 0x10;
inline constexpr std::uint8_t kFlags = kPeriodicFlag | kAlarmFlag | kUpdateFlag;

inline constexpr std::uint8_t kValidRamAndTime = 0x80;  // register D

using Cmos = std::array<std::uint8_t, kCmosSize>;

/// The times two digits of century and two of year can tell: years 0 to 9999, in seconds since 1970-01-01.
inline constexpr std::int64_t kMinTime = -62'167'219'200;
inline constexpr std::int64_t kMaxTime = 253'402'300'799;

/// True for the bytes that hold the running time (not the alarm).
[[nodiscard]] bool is_time_byte(std::uint8_t index);

/// Writes `seconds` (kMinTime..kMaxTime) into the time bytes of `cmos`, in the encoding its register B asks
/// for.
void encode_time(std::int64_t seconds, Cmos& cmos);

/// The time in the time bytes of `cmos`. Whatever a guest wrote has a meaning: months and days that do not
/// exist become the nearest that do. The day of the week is ignored, it follows from the date.
[[nodiscard]] std::int64_t decode_time(const Cmos& cmos);

/// True when the alarm bytes of `cmos` match the time of day of `seconds` (11xxxxxx matches everything).
[[nodiscard]] bool alarm_matches(std::int64_t seconds, const Cmos& cmos);

/// Frequency in Hz of the periodic interrupt that register A selects; 0 is none.
[[nodiscard]] std::uint32_t periodic_hz(std::uint8_t register_a);

}  // namespace vmsnap::vmm::mc146818
