// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "bhyve/convert/kernel/cpu.h"
#include "bhyve/convert/kernel/cpu_run_state.h"
#include "bhyve/convert/kernel/lapic_page.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr Row kRows[] = {
    {"esr_pending", "esr_pending"},
    {"ccr", "timer_current_count"},
};

/// Of lvt_last.
constexpr std::string_view kLocalVectors[] = {"lvt_lint0",       "lvt_lint1",   "lvt_timer", "lvt_error",
                                              "lvt_performance", "lvt_thermal", "lvt_cmci"};

constexpr std::size_t kStackSize = 17;

constexpr std::uint64_t kBootStateWaitsForSipi = 1, kBootStateRuns = 2;

constexpr std::uint64_t kTimerFrequency = std::uint64_t{1} << 27;

__extension__ using Wide = unsigned __int128;

/// What the timer's Divide Configuration Register says (Intel SDM Vol. 3A, figure 11-10).
std::uint64_t divisor_of(std::uint32_t timer_divide) {
  const std::uint32_t code = (timer_divide & 8) >> 1 | (timer_divide & 3);
  return code == 7 ? 1 : std::uint64_t{2} << code;
}

/// timer_freq_bt is the time of one count behind the divider; `frac` are its 2^-64 seconds. Where no timer
/// can have such a count, it is bhyve's own frequency.
std::uint64_t frequency_of(std::uint64_t seconds, std::uint64_t frac, std::uint32_t timer_divide) {
  if (seconds != 0 || frac == 0) return kTimerFrequency;
  const Wide counts = ((Wide{1} << 64) + frac / 2) / frac;
  const Wide frequency = counts * divisor_of(timer_divide);
  if (frequency > std::numeric_limits<std::uint64_t>::max()) return kTimerFrequency;
  return static_cast<std::uint64_t>(frequency);
}

/// As bhyve computes it, with its rounding; nothing for a frequency below the divisor.
std::optional<std::uint64_t> frac_of(std::uint64_t frequency, std::uint32_t timer_divide) {
  const std::uint64_t counts = frequency / divisor_of(timer_divide);
  if (counts < 2) return std::nullopt;
  return (std::uint64_t{1} << 63) / counts << 1;
}

Result<void> vcpu_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(StateTree * lapic, lapic_of(machine, index));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView page, chunk.bytes(vcpu + "apic_page"));
  VMSNAP_RETURN_IF_ERROR(page_to_lapic(page, *lapic));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, vcpu, *lapic, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto divide, lapic->get<std::uint32_t>("timer_divide"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t seconds, chunk.number(vcpu + "timer_freq_bt.sec"));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t frac, chunk.number(vcpu + "timer_freq_bt.frac"));
  VMSNAP_RETURN_IF_ERROR(lapic->set("timer_frequency", frequency_of(seconds, frac, divide)));

  const auto boot_state = chunk.decoded.number(vcpu + "boot_state");
  if (boot_state && boot_state->bits <= kBootStateWaitsForSipi) {
    VMSNAP_ASSIGN_OR_RETURN(StateTree * cpu, cpu_of(machine, index));
    VMSNAP_RETURN_IF_ERROR(set_waiting(*cpu, true));
  }
  machine.not_in_file({lapic_path(index), "tsc_deadline", "0: disarmed",
                       "none: bhyve's local APIC has no TSC-deadline mode"});
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_RETURN_IF_ERROR(need_records(chunk, machine));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) VMSNAP_RETURN_IF_ERROR(vcpu_up(chunk, i, machine));
  return {};
}

/// bhyve keeps the vectors that are being served in a stack besides, with 0 below them all.
Result<void> stack_down(const StateTree& lapic, const std::string& vcpu, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto served, vectors_of(lapic, "isr"));
  ByteVector stack(kStackSize);
  const std::size_t top = std::min(served.size(), kStackSize - 1);
  for (std::size_t i = 0; i < top; ++i) stack[i + 1] = std::byte{served[i]};
  values.derive(vcpu + "isrvec_stk", std::move(stack));
  values.derive(vcpu + "isrvec_stk_top", top);
  return {};
}

Result<void> local_vectors_down(const StateTree& lapic, const std::string& vcpu, Values& values) {
  ByteVector last(std::size(kLocalVectors) * sizeof(std::uint32_t));
  for (std::size_t i = 0; i < std::size(kLocalVectors); ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const auto entry, lapic.get<std::optional<std::uint32_t>>(kLocalVectors[i]));
    store_le<std::uint32_t>(last, i * sizeof(std::uint32_t), entry.value_or(0));
  }
  values.derive(vcpu + "lvt_last", std::move(last));
  return {};
}

Result<void> timer_down(const StateTree& lapic, const std::string& vcpu, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto divide, lapic.get<std::uint32_t>("timer_divide"));
  VMSNAP_ASSIGN_OR_RETURN(const auto frequency, lapic.get<std::uint64_t>("timer_frequency"));
  const auto frac = frac_of(frequency, divide);
  if (!frac) return {};
  values.map(vcpu + "timer_freq_bt.sec", 0);
  values.map(vcpu + "timer_freq_bt.frac", *frac);
  return {};
}

Result<void> vcpu_down(const Machine& machine, std::uint32_t index, Values& values) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* lapic, machine.need(lapic_path(index)));
  VMSNAP_ASSIGN_OR_RETURN(ByteVector page, lapic_to_page(*lapic));
  values.map(vcpu + "apic_page", std::move(page));
  values.prefer(vcpu + "apic_page");  // IRR with pir_desc of vmcx
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *lapic, "", values, vcpu));
  VMSNAP_RETURN_IF_ERROR(timer_down(*lapic, vcpu, values));
  VMSNAP_RETURN_IF_ERROR(stack_down(*lapic, vcpu, values));
  VMSNAP_RETURN_IF_ERROR(local_vectors_down(*lapic, vcpu, values));

  VMSNAP_ASSIGN_OR_RETURN(const StateTree* cpu, machine.need(cpu_path(index)));
  VMSNAP_ASSIGN_OR_RETURN(const bool waits, is_waiting(*cpu));
  values.derive(vcpu + "boot_state", waits ? kBootStateWaitsForSipi : kBootStateRuns);
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_RETURN_IF_ERROR(need_room(machine, chunk));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) {
    VMSNAP_RETURN_IF_ERROR(vcpu_down(machine, i, chunk.values));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVlapic = {"vlapic", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
