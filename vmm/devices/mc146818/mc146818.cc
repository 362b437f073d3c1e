// SPDX-License-Identifier: BSD-2-Clause
#include "devices/mc146818/mc146818.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <system_error>

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

std::uint64_t to_ns(std::int64_t ns) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
}

}  // namespace

Mc146818::Mc146818(std::uint16_t base, const Clock& clock, IrqLine* irq)
    : path_(fmt::format("isa0/rtc@{:x}", base)), clock_(clock) {
  if (irq != nullptr) irq_.emplace(*irq);
  s_.cmos[kRegisterA] = kDivider32768Hz | 0x06;  // 1024 Hz, as a PC's firmware leaves it
  s_.cmos[kRegisterB] = k24Hours;
  s_.cmos[kRegisterD] = kValidRamAndTime;
  const std::uint64_t realtime = to_ns(clock.realtime_ns());
  s_.seconds = static_cast<std::int64_t>(realtime / kNsPerSecond);
  s_.phase = static_cast<std::uint32_t>(realtime % kNsPerSecond);
  s_.epoch_ns = clock.monotonic_ns();
  encode_time(s_.seconds, s_.cmos);
}

Mc146818::~Mc146818() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (timer_.joinable()) timer_.join();
}

bool Mc146818::divides(const State& state) {
  return (state.cmos[kRegisterA] & kDividerMask) == kDivider32768Hz;
}

bool Mc146818::counts(const State& state) {
  return divides(state) && (state.cmos[kRegisterB] & kSet) == 0;
}

void Mc146818::pass(State& state, std::uint64_t ns) {
  if (!divides(state)) return;
  std::uint8_t& flags = state.cmos[kRegisterC];
  const std::uint64_t end = state.phase + ns % kNsPerSecond;
  const std::uint64_t edges = ns / kNsPerSecond + end / kNsPerSecond;
  if (const std::uint64_t hz = periodic_hz(state.cmos[kRegisterA]); hz != 0) {
    const auto period = [hz](std::uint64_t phase) { return phase * hz / kNsPerSecond; };
    if (edges > 0 || period(end) != period(state.phase)) flags |= kPeriodicFlag;
  }
  state.phase = static_cast<std::uint32_t>(end % kNsPerSecond);
  if (!counts(state)) return;
  const std::int64_t before = state.seconds;
  state.seconds = std::min(before + static_cast<std::int64_t>(edges), kMaxTime);
  const std::int64_t passed = state.seconds - before;
  if (passed > 0) flags |= kUpdateFlag;
  for (std::int64_t i = 1; i <= std::min(passed, kSecondsPerDay); ++i) {
    if (!alarm_matches(before + i, state.cmos)) continue;
    flags |= kAlarmFlag;
    break;
  }
  encode_time(state.seconds, state.cmos);
}

void Mc146818::settle(State& state, std::int64_t monotonic_ns) {
  if (!state.epoch_ns) return;
  pass(state, to_ns(monotonic_ns - *state.epoch_ns));
  state.epoch_ns = monotonic_ns;
}

std::uint8_t Mc146818::register_c(const State& state) {
  const std::uint8_t flags = state.cmos[kRegisterC] & kFlags;
  // The enable bits stand in register B where the flags stand in register C.
  const bool request = (flags & state.cmos[kRegisterB]) != 0;
  return static_cast<std::uint8_t>(flags | (request ? kInterruptRequest : 0));
}

void Mc146818::advance(std::int64_t ns) {
  const std::lock_guard lock(mutex_);
  pass(s_, to_ns(ns));
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
  settle(s_, clock_.monotonic_ns());
  const std::uint8_t index = s_.index & 0x7f;  // bit 7 masks NMI
  const std::uint8_t value = s_.cmos[index];
  switch (index) {
    case kRegisterA: {
      const bool update = counts(s_) && s_.phase >= kNsPerSecond - kUpdateNoticeNs;
      return static_cast<std::uint8_t>(value | (update ? kUpdateInProgress : 0));
    }
    case kRegisterC: {
      const std::uint8_t flags = register_c(s_);
      s_.cmos[kRegisterC] = 0;
      return flags;
    }
    case kRegisterD:
      s_.cmos[kRegisterD] = kValidRamAndTime;  // reading it is what sets VRT
      return value;
    default:
      return value;
  }
}

void Mc146818::write_cmos(std::uint8_t value) {
  settle(s_, clock_.monotonic_ns());
  const std::uint8_t index = s_.index & 0x7f;
  if (index == kRegisterC || index == kRegisterD) return;  // read-only
  if (index == kRegisterA || index == kRegisterB) {
    write_control(index, value);
    return;
  }
  s_.cmos[index] = value;
  if (is_time_byte(index)) s_.seconds = decode_time(s_.cmos);
}

void Mc146818::write_control(std::uint8_t index, std::uint8_t value) {
  const bool counted = counts(s_);
  if (index == kRegisterA) {
    s_.cmos[kRegisterA] = value & static_cast<std::uint8_t>(~kUpdateInProgress);
    if (divider_held(s_.cmos)) s_.phase = kDividerReleaseNs;
  } else {
    // Setting SET turns the update interrupt off.
    s_.cmos[kRegisterB] = (value & kSet) != 0 ? value & static_cast<std::uint8_t>(~kUpdateEnable) : value;
  }
  if (!counts(s_)) return;
  if (!counted) s_.seconds = decode_time(s_.cmos);
  encode_time(s_.seconds, s_.cmos);  // the encoding may have changed
}

bool Mc146818::interrupt_requested() const {
  return (register_c(s_) & kInterruptRequest) != 0;
}

void Mc146818::update_irq() {
  if (irq_ && !quiesced_) irq_->set(interrupt_requested());
}

std::optional<std::int64_t> Mc146818::ns_to_event() const {
  const std::uint8_t enabled = s_.cmos[kRegisterB] & (kPeriodicEnable | kAlarmEnable | kUpdateEnable);
  if (!irq_ || quiesced_ || enabled == 0 || !divides(s_) || !s_.epoch_ns) return std::nullopt;
  // While a request stands nothing new can come: the guest has to read register C first.
  if (interrupt_requested()) return std::nullopt;
  State now = s_;
  settle(now, clock_.monotonic_ns());
  std::uint64_t event = kNsPerSecond;
  if (const std::uint64_t hz = periodic_hz(s_.cmos[kRegisterA]);
      hz != 0 && (enabled & kPeriodicEnable) != 0) {
    const std::uint64_t next = now.phase * hz / kNsPerSecond + 1;
    event = (next * kNsPerSecond + hz - 1) / hz;
  }
  return static_cast<std::int64_t>(event - now.phase);
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

}  // namespace vmsnap::vmm
