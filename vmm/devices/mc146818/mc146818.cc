// SPDX-License-Identifier: BSD-2-Clause
#include "devices/mc146818/mc146818.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "core/state_buffer.h"
#include "mc146818_generated.h"

namespace vmsnap::vmm {

using namespace mc146818;

namespace {

constexpr std::uint32_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kSecondsPerDay = 86'400;
/// The update cycle is announced this long before it happens (data sheet, figure 11: tBUC).
constexpr std::uint32_t kUpdateNoticeNs = 244'000;
/// After the divider is released the first update comes half a second later.
constexpr std::uint32_t kDividerReleaseNs = kNsPerSecond / 2;

bool divider_held(const Cmos& cmos) {
  return (cmos[kRegisterA] & kDividerReset) == kDividerReset;
}

}  // namespace

Mc146818::Mc146818(std::uint16_t base, const Clock& clock, IrqLine* irq)
    : path_(fmt::format("isa0/rtc@{:x}", base)), clock_(clock) {
  if (irq != nullptr) irq_.emplace(*irq);
  s_.cmos[kRegisterA] = kDivider32768Hz | 0x06;  // 1024 Hz, as a PC's firmware leaves it
  s_.cmos[kRegisterB] = k24Hours;
  s_.cmos[kRegisterD] = kValidRamAndTime;
  const std::int64_t realtime = std::max<std::int64_t>(clock.realtime_ns(), 0);
  s_.base.seconds = realtime / kNsPerSecond;
  s_.base.fraction = static_cast<std::uint32_t>(realtime % kNsPerSecond);
  s_.epoch_ns = clock.monotonic_ns();
  s_.seen = s_.base;
  encode_time(s_.base.seconds, s_.cmos);
}

Mc146818::~Mc146818() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (timer_.joinable()) timer_.join();
}

bool Mc146818::runs(const State& state) {
  return (state.cmos[kRegisterB] & kSet) == 0 && (state.cmos[kRegisterA] & kDividerMask) == kDivider32768Hz;
}

void Mc146818::move_on(Time& time, std::uint64_t ns) {
  const std::uint64_t fraction = time.fraction + ns % kNsPerSecond;
  const auto seconds = static_cast<std::int64_t>(ns / kNsPerSecond + fraction / kNsPerSecond);
  time.fraction = static_cast<std::uint32_t>(fraction % kNsPerSecond);
  time.seconds = std::min(time.seconds + seconds, kMaxTime);
}

Mc146818::Time Mc146818::now(const State& state, std::int64_t monotonic_ns) {
  Time time = state.base;
  if (runs(state) && state.epoch_ns) {
    move_on(time, static_cast<std::uint64_t>(std::max<std::int64_t>(monotonic_ns - *state.epoch_ns, 0)));
  }
  return time;
}

void Mc146818::settle(State& state, std::int64_t monotonic_ns) {
  if (!runs(state)) return;
  const Time time = now(state, monotonic_ns);
  std::uint8_t& flags = state.cmos[kRegisterC];
  const std::int64_t passed = time.seconds - state.seen.seconds;
  if (passed > 0) {
    flags |= kUpdateFlag;
    for (std::int64_t i = 1; i <= std::min(passed, kSecondsPerDay); ++i) {
      if (!alarm_matches(state.seen.seconds + i, state.cmos)) continue;
      flags |= kAlarmFlag;
      break;
    }
  }
  if (const std::uint64_t hz = periodic_hz(state.cmos[kRegisterA]); hz != 0) {
    const auto period = [hz](std::uint64_t fraction) { return fraction * hz / kNsPerSecond; };
    if (passed > 0 || period(time.fraction) != period(state.seen.fraction)) flags |= kPeriodicFlag;
  }
  state.seen = time;
  encode_time(time.seconds, state.cmos);
}

std::uint8_t Mc146818::register_c(const State& state) {
  const std::uint8_t flags = state.cmos[kRegisterC] & kFlags;
  // The enable bits stand in register B where the flags stand in register C.
  const bool request = (flags & state.cmos[kRegisterB]) != 0;
  return static_cast<std::uint8_t>(flags | (request ? kInterruptRequest : 0));
}

void Mc146818::advance(std::int64_t ns) {
  const std::lock_guard lock(mutex_);
  if (runs(s_)) move_on(s_.base, static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)));
}

void Mc146818::read(std::uint64_t offset, MutableByteView data) {
  // The index port is write-only.
  std::fill(data.begin(), data.end(), std::byte{0xff});
  if (offset > 1 || offset + data.size() < 2) return;
  const std::lock_guard lock(mutex_);
  data[1 - offset] = std::byte{read_cmos()};
  update_irq();
  schedule();
}

void Mc146818::write(std::uint64_t offset, ByteView data) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < data.size() && offset + i < kPorts; ++i) {
    const auto value = std::to_integer<std::uint8_t>(data[i]);
    if (offset + i == 0) {
      s_.index = value;
    } else {
      write_cmos(value);
    }
  }
  update_irq();
  schedule();
}

std::uint8_t Mc146818::read_cmos() {
  const std::int64_t monotonic = clock_.monotonic_ns();
  settle(s_, monotonic);
  const std::uint8_t index = s_.index & 0x7f;  // bit 7 masks NMI
  switch (index) {
    case kRegisterA: {
      const bool update = runs(s_) && now(s_, monotonic).fraction >= kNsPerSecond - kUpdateNoticeNs;
      return static_cast<std::uint8_t>(s_.cmos[kRegisterA] | (update ? kUpdateInProgress : 0));
    }
    case kRegisterC: {
      const std::uint8_t value = register_c(s_);
      s_.cmos[kRegisterC] = 0;
      return value;
    }
    default:
      return s_.cmos[index];
  }
}

void Mc146818::write_cmos(std::uint8_t value) {
  const std::int64_t monotonic = clock_.monotonic_ns();
  settle(s_, monotonic);
  const std::uint8_t index = s_.index & 0x7f;
  if (index == kRegisterC || index == kRegisterD) return;  // read-only
  if (index == kRegisterA || index == kRegisterB) {
    write_control(index, value);
    return;
  }
  s_.cmos[index] = value;
  if (!is_time_byte(index)) return;
  s_.base.fraction = now(s_, monotonic).fraction;
  s_.base.seconds = decode_time(s_.cmos);
  s_.epoch_ns = monotonic;
  s_.seen = s_.base;
}

void Mc146818::write_control(std::uint8_t index, std::uint8_t value) {
  const std::int64_t monotonic = clock_.monotonic_ns();
  const bool ran = runs(s_);
  const Time before = now(s_, monotonic);
  if (index == kRegisterA) {
    s_.cmos[kRegisterA] = value & static_cast<std::uint8_t>(~kUpdateInProgress);
    if (divider_held(s_.cmos)) s_.base.fraction = kDividerReleaseNs;
  } else {
    // Setting SET turns the update interrupt off.
    s_.cmos[kRegisterB] = (value & kSet) != 0 ? value & static_cast<std::uint8_t>(~kUpdateEnable) : value;
  }
  const bool run = runs(s_);
  if (ran && !run) {
    s_.base.seconds = before.seconds;
    if (!divider_held(s_.cmos)) s_.base.fraction = before.fraction;
  } else if (!ran && run) {
    s_.base.seconds = decode_time(s_.cmos);
    s_.epoch_ns = monotonic;
    s_.seen = s_.base;
  } else if (run) {
    encode_time(before.seconds, s_.cmos);  // the encoding may have changed
  }
}

bool Mc146818::interrupt_requested() const {
  return (register_c(s_) & kInterruptRequest) != 0;
}

void Mc146818::update_irq() {
  if (irq_ && !quiesced_) irq_->set(interrupt_requested());
}

std::optional<std::int64_t> Mc146818::ns_to_event() const {
  const std::uint8_t enabled = s_.cmos[kRegisterB] & (kPeriodicEnable | kAlarmEnable | kUpdateEnable);
  if (!irq_ || quiesced_ || enabled == 0 || !runs(s_) || !s_.epoch_ns) return std::nullopt;
  // While a request stands nothing new can come: the guest has to read register C first.
  if (interrupt_requested()) return std::nullopt;
  const std::uint64_t fraction = now(s_, clock_.monotonic_ns()).fraction;
  std::uint64_t event = kNsPerSecond;
  if (const std::uint64_t hz = periodic_hz(s_.cmos[kRegisterA]);
      hz != 0 && (enabled & kPeriodicEnable) != 0) {
    const std::uint64_t next = fraction * hz / kNsPerSecond + 1;
    event = (next * kNsPerSecond + hz - 1) / hz;
  }
  return static_cast<std::int64_t>(event - fraction);
}

void Mc146818::schedule() {
  if (!ns_to_event()) return;
  if (!timer_.joinable()) {
    try {
      timer_ = std::thread([this] { run_timer(); });
    } catch (const std::system_error&) {
      return;  // the host is out of threads: the guest sees the flags when it looks, and the next access
               // tries again
    }
  }
  wake_.notify_all();
}

void Mc146818::run_timer() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (const auto ns = ns_to_event()) {
      wake_.wait_for(lock, std::chrono::nanoseconds(*ns));
    } else {
      wake_.wait(lock);
    }
    if (stop_ || quiesced_) continue;
    settle(s_, clock_.monotonic_ns());
    update_irq();
  }
}

DeviceEntry Mc146818::describe() const {
  DeviceEntry entry;
  entry.path = path_;
  entry.type = "mc146818";
  entry.version = {1, 0};
  entry.readable_since = {1, 0};
  return entry;
}

Result<void> Mc146818::quiesce() {
  const std::lock_guard lock(mutex_);
  quiesced_ = true;
  return {};
}

void Mc146818::resume() {
  const std::lock_guard lock(mutex_);
  quiesced_ = false;
  if (!s_.epoch_ns) s_.epoch_ns = clock_.monotonic_ns();
  settle(s_, clock_.monotonic_ns());
  if (irq_) irq_->announce(interrupt_requested());
  schedule();
}

Result<ByteVector> Mc146818::save() const {
  const std::lock_guard lock(mutex_);
  const std::int64_t monotonic = clock_.monotonic_ns();
  State copy = s_;
  settle(copy, monotonic);
  const Time time = now(copy, monotonic);
  schema::Mc146818T state;
  state.index = copy.index;
  copy.cmos[kRegisterC] = register_c(copy);
  state.cmos.assign(copy.cmos.begin(), copy.cmos.end());
  state.time = runs(copy) ? time.seconds : decode_time(copy.cmos);
  state.time_fraction = time.fraction;
  return pack_state(state, schema::Mc146818Identifier());
}

Result<Mc146818::State> Mc146818::validate(const schema::Mc146818T& state) {
  if (state.cmos.size() != kCmosSize) {
    return corrupt_field(
        "cmos", fmt::format("the CMOS RAM has {} bytes instead of {}", state.cmos.size(), kCmosSize));
  }
  if (state.time < kMinTime || state.time > kMaxTime) {
    return corrupt_field(
        "time", fmt::format("{} s is outside the years 0 to 9999 that the clock can show", state.time));
  }
  if (state.time_fraction >= kNsPerSecond) {
    return corrupt_field("time_fraction",
                         fmt::format("{} ns is not less than a second", state.time_fraction));
  }
  State s;
  s.index = state.index;
  std::copy(state.cmos.begin(), state.cmos.end(), s.cmos.begin());
  s.cmos[kRegisterA] &= static_cast<std::uint8_t>(~kUpdateInProgress);
  s.cmos[kRegisterC] &= kFlags;
  s.cmos[kRegisterD] = kValidRamAndTime;
  s.base.seconds = runs(s) ? state.time : decode_time(s.cmos);
  s.base.fraction = state.time_fraction;
  s.seen = s.base;
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
