// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/rtc_time.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "isa0/rtc@70";
constexpr std::size_t kNvramSize = 114;
constexpr std::size_t kCentury = 36;  // in nvram

constexpr std::uint8_t kSet = 0x80;                      // register B
constexpr std::uint8_t kFlags = 0x70;                    // register C, and what enables them in register B
constexpr std::uint64_t kInterruptRequest = 0x80;        // register C
constexpr std::uint8_t kWithoutUpdateInProgress = 0x7f;  // register A
constexpr std::uint8_t kValidRamAndTime = 0x80;          // register D

std::uint64_t without_update(std::uint64_t value) {
  return value & kWithoutUpdateInProgress;
}
std::uint64_t flags_only(std::uint64_t value) {
  return value & kFlags;
}
std::uint64_t validity_only(std::uint64_t value) {
  return value & kValidRamAndTime;
}

constexpr Row kRows[] = {
    {"addr", "index"},
    {"sec", "time_registers.seconds"},
    {"alarm_sec", "alarm_registers.seconds"},
    {"min", "time_registers.minutes"},
    {"alarm_min", "alarm_registers.minutes"},
    {"hour", "time_registers.hours"},
    {"alarm_hour", "alarm_registers.hours"},
    {"day_of_week", "time_registers.day_of_week"},
    {"day_of_month", "time_registers.day_of_month"},
    {"month", "time_registers.month"},
    {"year", "time_registers.year"},
    {"reg_a", "register_a", without_update},
    {"reg_b", "register_b"},
    {"reg_c", "register_c", flags_only},
    {"reg_d", "register_d", validity_only},
};

Result<std::uint8_t> byte_at(const SourceChunk& chunk, std::string_view path) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t number, chunk.number(path));
  return static_cast<std::uint8_t>(number);
}

Result<RtcRegisters> registers_of(const SourceChunk& chunk) {
  RtcRegisters registers;
  VMSNAP_ASSIGN_OR_RETURN(registers.seconds, byte_at(chunk, "sec"));
  VMSNAP_ASSIGN_OR_RETURN(registers.minutes, byte_at(chunk, "min"));
  VMSNAP_ASSIGN_OR_RETURN(registers.hours, byte_at(chunk, "hour"));
  VMSNAP_ASSIGN_OR_RETURN(registers.day_of_week, byte_at(chunk, "day_of_week"));
  VMSNAP_ASSIGN_OR_RETURN(registers.day_of_month, byte_at(chunk, "day_of_month"));
  VMSNAP_ASSIGN_OR_RETURN(registers.month, byte_at(chunk, "month"));
  VMSNAP_ASSIGN_OR_RETURN(registers.year, byte_at(chunk, "year"));
  VMSNAP_ASSIGN_OR_RETURN(registers.century, byte_at(chunk, "century"));
  return registers;
}

Result<void> set_registers(StateTree& state, const RtcRegisters& registers) {
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.seconds", registers.seconds));
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.minutes", registers.minutes));
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.hours", registers.hours));
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.day_of_week", registers.day_of_week));
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.day_of_month", registers.day_of_month));
  VMSNAP_RETURN_IF_ERROR(state.set("time_registers.month", registers.month));
  return state.set("time_registers.year", registers.year);
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * rtc, machine.device(kPath, "mc146818"));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *rtc, ""));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t base, chunk.number("base_rtctime"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint8_t register_b, byte_at(chunk, "reg_b"));
  VMSNAP_ASSIGN_OR_RETURN(RtcRegisters registers, registers_of(chunk));
  auto time = static_cast<std::int64_t>(base);
  constexpr std::int64_t kNoDate = -1;
  if ((register_b & kSet) == 0 && time != kNoDate && is_rtc_time(time)) {
    registers = rtc_registers(time, register_b);
    VMSNAP_RETURN_IF_ERROR(set_registers(*rtc, registers));
  } else {
    time = rtc_time(registers, register_b).value_or(0);
  }
  VMSNAP_RETURN_IF_ERROR(rtc->set("time", time));

  ByteVector nvram;
  VMSNAP_ASSIGN_OR_RETURN(const ByteView first, chunk.bytes("nvram"));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView second, chunk.bytes("nvram2"));
  nvram.insert(nvram.end(), first.begin(), first.end());
  nvram.push_back(static_cast<std::byte>(registers.century));
  nvram.insert(nvram.end(), second.begin(), second.end());
  VMSNAP_RETURN_IF_ERROR(rtc->set("nvram", nvram));
  machine.not_in_file({std::string(kPath), "time since the guest last used the clock", "none has passed",
                       "The guest's clock is late by that time, as it is when bhyve restores it."});
  machine.not_in_file({std::string(kPath), "divider_phase", "0", "The clock is late by up to a second."});
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* rtc, machine.need(kPath));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *rtc, "", chunk.values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto time, rtc->get<std::int64_t>("time"));
  chunk.values.map("base_rtctime", static_cast<std::uint64_t>(time));
  VMSNAP_ASSIGN_OR_RETURN(const auto register_b, rtc->get<std::uint8_t>("register_b"));
  VMSNAP_ASSIGN_OR_RETURN(const auto register_c, rtc->get<std::uint8_t>("register_c"));
  const bool requests = (register_b & register_c & kFlags) != 0;
  chunk.values.map("reg_c", register_c | (requests ? kInterruptRequest : 0));
  VMSNAP_ASSIGN_OR_RETURN(const auto nvram, rtc->get<ByteVector>("nvram"));
  if (nvram.size() != kNvramSize) return {};
  chunk.values.map("nvram", ByteVector(nvram.begin(), nvram.begin() + kCentury));
  chunk.values.map("century", static_cast<std::uint64_t>(nvram[kCentury]));
  chunk.values.map("nvram2", ByteVector(nvram.begin() + kCentury + 1, nvram.end()));
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVrtc = {"vrtc", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
