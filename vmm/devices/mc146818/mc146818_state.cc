// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"
#include "devices/mc146818/mc146818.h"
#include "mc146818_generated.h"

namespace vmsnap::vmm {

using namespace mc146818;

namespace {

constexpr std::uint32_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kNvramSize = kCmosSize - kNvram;

}  // namespace

DeviceEntry Mc146818::describe() const {
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "mc146818";
  entry.version = {2, 0};
  entry.readable_since = {2, 0};
  return entry;
}

Result<ByteVector> Mc146818::save() const {
  const std::lock_guard lock(mutex_);
  State copy = s_;
  settle(copy, clock_.monotonic_ns());
  const Cmos& cmos = copy.cmos;
  schema::Mc146818T state;
  state.index = copy.index;
  state.time_registers = std::make_unique<schema::Mc146818TimeT>();
  state.time_registers->seconds = cmos[kSeconds];
  state.time_registers->minutes = cmos[kMinutes];
  state.time_registers->hours = cmos[kHours];
  state.time_registers->day_of_week = cmos[kDayOfWeek];
  state.time_registers->day_of_month = cmos[kDayOfMonth];
  state.time_registers->month = cmos[kMonth];
  state.time_registers->year = cmos[kYear];
  state.alarm_registers = std::make_unique<schema::Mc146818AlarmT>();
  state.alarm_registers->seconds = cmos[kSecondsAlarm];
  state.alarm_registers->minutes = cmos[kMinutesAlarm];
  state.alarm_registers->hours = cmos[kHoursAlarm];
  state.register_a = cmos[kRegisterA];
  state.register_b = cmos[kRegisterB];
  state.register_c = cmos[kRegisterC];
  state.register_d = cmos[kRegisterD];
  state.nvram.assign(cmos.begin() + kNvram, cmos.end());
  state.time = counts(copy) ? copy.seconds : decode_time(cmos);
  state.divider_phase = copy.phase;
  return pack_state(state, schema::Mc146818Identifier());
}

Result<Mc146818::State> Mc146818::validate(const schema::Mc146818T& state) {
  if (state.nvram.size() != kNvramSize) {
    return corrupt_field("nvram",
                         fmt::format("the RAM has {} bytes instead of {}", state.nvram.size(), kNvramSize));
  }
  const auto always_zero = [](std::string_view field, std::uint8_t value, std::uint8_t mask) -> Result<void> {
    if ((value & mask) == 0) return {};
    return corrupt_field(field, fmt::format("{:#04x} has bits set that are never stored", value));
  };
  VMSNAP_RETURN_IF_ERROR(always_zero("register_a", state.register_a, kUpdateInProgress));
  VMSNAP_RETURN_IF_ERROR(always_zero("register_c", state.register_c, static_cast<std::uint8_t>(~kFlags)));
  VMSNAP_RETURN_IF_ERROR(
      always_zero("register_d", state.register_d, static_cast<std::uint8_t>(~kValidRamAndTime)));
  if (state.time < kMinTime || state.time > kMaxTime) {
    return corrupt_field(
        "time", fmt::format("{} s is outside the years 0 to 9999 that the clock can show", state.time));
  }
  if (state.divider_phase >= kNsPerSecond) {
    return corrupt_field("divider_phase",
                         fmt::format("{} ns is not less than a second", state.divider_phase));
  }
  State s;
  s.index = state.index;
  Cmos& cmos = s.cmos;
  std::copy(state.nvram.begin(), state.nvram.end(), cmos.begin() + kNvram);
  cmos[kSeconds] = state.time_registers->seconds;
  cmos[kMinutes] = state.time_registers->minutes;
  cmos[kHours] = state.time_registers->hours;
  cmos[kDayOfWeek] = state.time_registers->day_of_week;
  cmos[kDayOfMonth] = state.time_registers->day_of_month;
  cmos[kMonth] = state.time_registers->month;
  cmos[kYear] = state.time_registers->year;
  cmos[kSecondsAlarm] = state.alarm_registers->seconds;
  cmos[kMinutesAlarm] = state.alarm_registers->minutes;
  cmos[kHoursAlarm] = state.alarm_registers->hours;
  cmos[kRegisterA] = state.register_a;
  cmos[kRegisterB] = state.register_b;
  cmos[kRegisterC] = state.register_c;
  cmos[kRegisterD] = state.register_d;
  s.seconds = state.time;
  s.phase = state.divider_phase;
  if (counts(s)) encode_time(s.seconds, cmos);
  return s;
}

Result<void> Mc146818::restore(ByteView bytes) {
  const auto take = [this](const schema::Mc146818T& state) -> Result<void> {
    VMSNAP_ASSIGN_OR_RETURN(const State valid, validate(state));
    const std::lock_guard lock(mutex_);
    s_ = valid;
    if (irq_) irq_->announce(interrupt_requested());
    return {};
  };
  return restore_state<schema::Mc146818>(bytes, schema::Mc146818Identifier(), path_, take);
}

}  // namespace vmsnap::vmm
