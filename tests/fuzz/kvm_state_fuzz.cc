// SPDX-License-Identifier: BSD-2-Clause
// Hostile states of what KVM emulates. A state goes to the reader of the type whose identifier it carries (to
// all of them when it carries none). What is accepted is written as it was read; and where it converts to
// KVM's structures, what comes back from them is a state that is accepted again.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "kvm/irqchip_convert.h"
#include "kvm/irqchip_state.h"
#include "kvm/lapic_bits.h"
#include "kvm/msr_fields.h"
#include "kvm/state_codec.h"
#include "kvm/vcpu_convert.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::vmm;

void require(bool condition) {
  if (!condition) std::abort();
}

/// Hands over the state when it is accepted.
template <typename State>
std::unique_ptr<State> read(ByteView bytes, Result<State> (*unpack)(ByteView),
                            Result<ByteVector> (*pack)(const State&)) {
  auto state = unpack(bytes);
  if (!state) return nullptr;
  const auto written = pack(*state);
  require(written.has_value());
  auto again = unpack(*written);
  require(again.has_value() && *pack(*again) == *written);
  return std::make_unique<State>(std::move(*state));
}

schema::LapicT any_lapic(std::uint32_t id) {
  schema::LapicT lapic;
  lapic.apic_base = kApicDefaultAddress | kApicBaseEnable;
  lapic.apic_id = id;
  for (auto* registers : {&lapic.isr, &lapic.tmr, &lapic.irr}) registers->assign(8, 0);
  lapic.timer_frequency = kKvmApicTimerFrequency;
  return lapic;
}

void try_cpu(ByteView bytes) {
  auto cpu = read(bytes, unpack_x86_cpu, pack_x86_cpu);
  if (cpu == nullptr) return;
  HostFacts facts;
  facts.has_xcrs = true;
  facts.has_smm = true;
  facts.has_triple_fault_event = true;
  facts.guest_xcr0 = cpu->xcr0.value_or(0);
  std::uint32_t last = 0;
  for (const schema::Msr& msr : all_msrs(*cpu)) {
    require(facts.msrs.empty() || msr.index() > last);
    last = msr.index();
    facts.msrs.push_back(last);
  }
  const std::uint32_t index = cpu->index;
  VcpuState state;
  state.cpu = std::move(*cpu);
  state.lapic = any_lapic(index & 0xff);
  const auto parts = to_parts(state, facts);
  if (!parts) return;
  const auto again = to_state(*parts, index, facts);
  require(again.has_value() && all_msrs(again->cpu) == all_msrs(state.cpu));
  require(unpack_x86_cpu(pack_x86_cpu(again->cpu).value()).has_value());
}

void try_pit(ByteView bytes) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  const auto state = read(bytes, unpack_i8254, pack_i8254);
  if (state == nullptr) return;
  const schema::I8254T again = i8254_from_kvm(i8254_to_kvm(*state, kNow), kNow);
  require(unpack_i8254(pack_i8254(again).value()).has_value());
  for (std::size_t i = 1; i < again.counters.size(); ++i) {
    if (!state->counters[i]->elapsed_pulses.has_value()) continue;
    require(again.counters[i]->elapsed_pulses == state->counters[i]->elapsed_pulses);
  }
}

void try_pic(ByteView bytes) {
  const auto state = read(bytes, unpack_i8259, pack_i8259);
  if (state == nullptr) return;
  require(i8259_from_kvm(i8259_to_kvm(*state->primary, kElcrPrimary)).has_value());
  require(i8259_from_kvm(i8259_to_kvm(*state->secondary, kElcrSecondary)).has_value());
}

void try_ioapic(ByteView bytes) {
  const auto state = read(bytes, unpack_ioapic, pack_ioapic);
  if (state == nullptr || !check_ioapic(*state)) return;
  require(ioapic_from_kvm(ioapic_to_kvm(*state)) == *state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView state = as_byte_view(data, size);
  const std::array<std::pair<const char*, void (*)(ByteView)>, 7> readers = {
      {{"VCPU", try_cpu},
       {"8254", try_pit},
       {"8259", try_pic},
       {"IOAP", try_ioapic},
       {"LAPC", [](ByteView bytes) { read(bytes, unpack_lapic, pack_lapic); }},
       {"CPUP", [](ByteView bytes) { read(bytes, unpack_cpu_profile, pack_cpu_profile); }},
       {"KVMC", [](ByteView bytes) { read(bytes, unpack_kvm_clock, pack_kvm_clock); }}}};
  const std::string identifier =
      size < 8 ? std::string() : std::string(reinterpret_cast<const char*>(data) + 4, 4);
  bool known = false;
  for (const auto& [name, reader] : readers) known = known || identifier == name;
  for (const auto& [name, reader] : readers) {
    if (!known || identifier == name) reader(state);
  }
  return 0;
}
