// SPDX-License-Identifier: BSD-2-Clause
#include <cstring>

#include "kvm/lapic_bits.h"
#include "kvm/vcpu_convert.h"

namespace vmsnap::vmm {
namespace {

std::uint32_t get(const kvm_lapic_state& page, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, page.regs + offset, sizeof value);
  return value;
}

void put(kvm_lapic_state& page, std::size_t offset, std::uint32_t value) {
  std::memcpy(page.regs + offset, &value, sizeof value);
}

std::vector<std::uint32_t> get_vectors(const kvm_lapic_state& page, std::size_t offset) {
  std::vector<std::uint32_t> words;
  for (std::size_t i = 0; i < kApicVectorWords; ++i)
    words.push_back(get(page, offset + i * kApicVectorStride));
  return words;
}

void put_vectors(kvm_lapic_state& page, std::size_t offset, const std::vector<std::uint32_t>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) put(page, offset + i * kApicVectorStride, words[i]);
}

}  // namespace

schema::LapicT lapic_from_kvm(const kvm_lapic_state& page, std::uint64_t apic_base,
                              std::uint64_t tsc_deadline) {
  schema::LapicT state;
  state.apic_base = apic_base;
  state.apic_id = (apic_base & kApicBaseX2) != 0 ? get(page, kApicId) : get(page, kApicId) >> 24;
  state.version = get(page, kApicVersion);
  state.tpr = get(page, kApicTpr);
  state.ldr = get(page, kApicLdr);
  state.dfr = get(page, kApicDfr);
  state.svr = get(page, kApicSvr);
  state.isr = get_vectors(page, kApicIsr);
  state.tmr = get_vectors(page, kApicTmr);
  state.irr = get_vectors(page, kApicIrr);
  state.esr = get(page, kApicEsr);
  state.icr = std::uint64_t{get(page, kApicIcrHigh)} << 32 | get(page, kApicIcrLow);
  state.lvt_timer = get(page, kApicLvtTimer);
  state.lvt_thermal = get(page, kApicLvtThermal);
  state.lvt_performance = get(page, kApicLvtPerformance);
  state.lvt_lint0 = get(page, kApicLvtLint0);
  state.lvt_lint1 = get(page, kApicLvtLint1);
  state.lvt_error = get(page, kApicLvtError);
  if (has_lvt_cmci(state.version)) state.lvt_cmci = get(page, kApicLvtCmci);
  state.timer_initial_count = get(page, kApicInitialCount);
  state.timer_current_count = get(page, kApicCurrentCount);
  state.timer_divide = get(page, kApicDivide);
  state.timer_frequency = kKvmApicTimerFrequency;
  state.tsc_deadline = tsc_deadline;
  return state;
}

kvm_lapic_state lapic_to_kvm(const schema::LapicT& state) {
  kvm_lapic_state page{};
  put(page, kApicId, (state.apic_base & kApicBaseX2) != 0 ? state.apic_id : state.apic_id << 24);
  put(page, kApicVersion, state.version);
  put(page, kApicTpr, state.tpr);
  put(page, kApicLdr, state.ldr);
  put(page, kApicDfr, state.dfr);
  put(page, kApicSvr, state.svr);
  put_vectors(page, kApicIsr, state.isr);
  put_vectors(page, kApicTmr, state.tmr);
  put_vectors(page, kApicIrr, state.irr);
  // KVM shows errors at once: those that a guest would see after its next write to ESR are there already.
  put(page, kApicEsr, state.esr | state.esr_pending.value_or(0));
  put(page, kApicIcrLow, static_cast<std::uint32_t>(state.icr));
  put(page, kApicIcrHigh, static_cast<std::uint32_t>(state.icr >> 32));
  put(page, kApicLvtTimer, state.lvt_timer);
  put(page, kApicLvtThermal, state.lvt_thermal);
  put(page, kApicLvtPerformance, state.lvt_performance);
  put(page, kApicLvtLint0, state.lvt_lint0);
  put(page, kApicLvtLint1, state.lvt_lint1);
  put(page, kApicLvtError, state.lvt_error);
  if (state.lvt_cmci.has_value()) put(page, kApicLvtCmci, *state.lvt_cmci);
  put(page, kApicInitialCount, state.timer_initial_count);
  put(page, kApicCurrentCount, state.timer_current_count);
  put(page, kApicDivide, state.timer_divide);
  return page;
}

}  // namespace vmsnap::vmm
