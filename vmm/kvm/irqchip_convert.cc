// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/irqchip_convert.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/state_buffer.h"

namespace vmsnap::vmm {
namespace {

// KVM numbers the steps of the 8259's initialisation 1 to 3; the schema by the ICW that is awaited.
constexpr std::uint8_t kInitSteps = 3;

// KVM's read and write states of an 8254 counter, beyond the RW bits of the control word: the low byte of
// two has gone by.
constexpr std::uint8_t kWordSecondByte = 4;
constexpr std::uint8_t kHighByteOnly = 2;
// KVM's mode of a counter that has never had a control word.
constexpr std::uint8_t kNeverProgrammed = 0xff;

constexpr std::uint64_t kPulsesPerSecond = 1'193'182;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

__extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using)

// Whole pulses, as KVM counts them.
std::uint64_t pulses_in(std::uint64_t ns) {
  return static_cast<std::uint64_t>(Wide{ns} * kPulsesPerSecond / kNsPerSecond);
}

// The shortest time that has so many pulses, so that pulses_in() gives the same number again.
std::uint64_t time_of(std::uint64_t pulses) {
  return static_cast<std::uint64_t>((Wide{pulses} * kNsPerSecond + kPulsesPerSecond - 1) / kPulsesPerSecond);
}

// As KVM shows OUT to the guest: in modes 2, 4 and 5 the pulse of the chip upside down.
bool output_of(std::uint8_t mode, std::uint64_t count, std::uint64_t pulses) {
  switch (mode) {
    case 1:
      return pulses < count;
    case 2:
      return pulses != 0 && pulses % count == 0;
    case 3:
      return pulses % count < (count + 1) / 2;
    case 4:
    case 5:
      return pulses == count;
    default:
      return pulses >= count;
  }
}

// Where nobody knows how long the counter has run, but what OUT was: the earliest point of its period at
// which it is that.
std::uint64_t pulses_to_assume(const schema::I8254CounterT& in) {
  if (!in.output.has_value()) return 0;
  const std::uint64_t half = (std::uint64_t{in.count} + 1) / 2;
  for (const std::uint64_t pulses : {std::uint64_t{0}, half, std::uint64_t{in.count}}) {
    if (output_of(in.mode, in.count, pulses) == *in.output) return pulses;
  }
  return 0;
}

schema::I8254CounterT counter_from_kvm(const kvm_pit_channel_state& in, std::int64_t now) {
  schema::I8254CounterT out;
  out.count = in.count;
  const bool programmed = in.mode != kNeverProgrammed;
  out.mode = programmed ? in.mode : 0;
  out.bcd = in.bcd != 0;
  out.access = programmed ? static_cast<schema::I8254Access>(in.rw_mode & 3) : schema::I8254Access::None;
  out.gate = in.gate != 0;
  const bool two_bytes = out.access == schema::I8254Access::LowThenHigh;
  out.count_latched = in.count_latched != 0;
  out.latched_count = in.latched_count;
  out.status_latched = in.status_latched != 0;
  out.latched_status = in.status;
  // The latch is read before the counter.
  out.read_high_next =
      two_bytes && (out.count_latched ? in.count_latched == kHighByteOnly : in.read_state == kWordSecondByte);
  out.write_high_next = two_bytes && in.write_state == kWordSecondByte;
  out.write_low_byte = in.write_latch;
  // Counter 0 has no load time in KVM: a timer of the host counts in its place. A restored counter may have
  // been loaded before the host was started.
  if (in.count_load_time != 0 && in.count_load_time <= now) {
    out.elapsed_pulses = pulses_in(static_cast<std::uint64_t>(now - in.count_load_time));
    if (out.count != 0) out.output = output_of(out.mode, out.count, *out.elapsed_pulses);
  }
  return out;
}

// Without a load time, which KVM has no use for in counter 0.
kvm_pit_channel_state counter_to_kvm(const schema::I8254CounterT& in) {
  kvm_pit_channel_state out{};
  const auto access = static_cast<std::uint8_t>(in.access);
  const bool programmed = in.access != schema::I8254Access::None;
  out.count = in.count;
  out.mode = programmed ? in.mode : kNeverProgrammed;
  out.bcd = in.bcd ? 1 : 0;
  out.rw_mode = access;
  out.gate = in.gate ? 1 : 0;
  if (in.count_latched) out.count_latched = in.read_high_next ? kHighByteOnly : access;
  out.latched_count = in.latched_count;
  out.status_latched = in.status_latched ? 1 : 0;
  out.status = in.latched_status;
  out.read_state = !in.count_latched && in.read_high_next ? kWordSecondByte : access;
  out.write_state = in.write_high_next ? kWordSecondByte : access;
  out.write_latch = in.write_low_byte;
  return out;
}

}  // namespace

Result<schema::I8259ChipT> i8259_from_kvm(const kvm_pic_state& in) {
  if (in.init_state > kInitSteps) {
    return unsupported_field(
        "initialisation_step",
        fmt::format("KVM's 8259 is at step {} of its initialisation, which does not exist", in.init_state));
  }
  schema::I8259ChipT out;
  out.irr = in.irr;
  out.isr = in.isr;
  out.imr = in.imr;
  out.input_level = in.last_irr;
  out.vector_base = in.irq_base;
  out.initialisation_step = in.init_state == 0 ? 0 : static_cast<std::uint8_t>(in.init_state + 1);
  out.icw4_needed = in.init4 != 0;
  out.auto_eoi = in.auto_eoi != 0;
  out.special_fully_nested = in.special_fully_nested_mode != 0;
  out.rotate_on_auto_eoi = in.rotate_on_auto_eoi != 0;
  out.special_mask = in.special_mask != 0;
  out.poll = in.poll != 0;
  out.read_isr = in.read_reg_select != 0;
  out.highest_priority_pin = in.priority_add;
  out.elcr = in.elcr;
  return out;
}

kvm_pic_state i8259_to_kvm(const schema::I8259ChipT& in, std::uint8_t elcr_mask) {
  kvm_pic_state out{};
  out.irr = in.irr;
  out.isr = in.isr;
  out.imr = in.imr;
  out.last_irr = in.input_level;
  out.irq_base = in.vector_base;
  out.init_state = in.initialisation_step == 0 ? 0 : static_cast<std::uint8_t>(in.initialisation_step - 1);
  out.init4 = in.icw4_needed ? 1 : 0;
  out.auto_eoi = in.auto_eoi ? 1 : 0;
  out.special_fully_nested_mode = in.special_fully_nested ? 1 : 0;
  out.rotate_on_auto_eoi = in.rotate_on_auto_eoi ? 1 : 0;
  out.special_mask = in.special_mask ? 1 : 0;
  out.poll = in.poll ? 1 : 0;
  out.read_reg_select = in.read_isr ? 1 : 0;
  out.priority_add = in.highest_priority_pin;
  out.elcr = in.elcr;
  out.elcr_mask = elcr_mask;
  return out;
}

schema::IoapicT ioapic_from_kvm(const kvm_ioapic_state& in) {
  schema::IoapicT out;
  out.base = in.base_address;
  out.id = in.id;
  out.ioregsel = in.ioregsel;
  for (const auto& entry : in.redirtbl) out.redirection_table.push_back(entry.bits);
  out.irr = in.irr;
  return out;
}

kvm_ioapic_state ioapic_to_kvm(const schema::IoapicT& in) {
  kvm_ioapic_state out{};
  out.base_address = in.base;
  out.id = in.id;
  out.ioregsel = in.ioregsel;
  for (std::size_t i = 0; i < std::min(in.redirection_table.size(), std::size(out.redirtbl)); ++i) {
    out.redirtbl[i].bits = in.redirection_table[i];
  }
  out.irr = in.irr;
  return out;
}

schema::I8254T i8254_from_kvm(const kvm_pit_state2& in, std::int64_t now) {
  schema::I8254T out;
  for (const kvm_pit_channel_state& channel : in.channels) {
    out.counters.push_back(std::make_unique<schema::I8254CounterT>(counter_from_kvm(channel, now)));
  }
  out.speaker_data_enable = (in.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0;
  out.irq0_disconnected = (in.flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0;
  return out;
}

kvm_pit_state2 i8254_to_kvm(const schema::I8254T& in, std::int64_t now) {
  kvm_pit_state2 out{};
  for (std::size_t i = 0; i < std::min(in.counters.size(), std::size(out.channels)); ++i) {
    const schema::I8254CounterT& counter = *in.counters[i];
    out.channels[i] = counter_to_kvm(counter);
    if (i == 0) continue;
    const std::uint64_t pulses = counter.elapsed_pulses.value_or(pulses_to_assume(counter));
    out.channels[i].count_load_time = now - static_cast<std::int64_t>(time_of(pulses));
  }
  out.flags = (in.speaker_data_enable ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0u) |
              (in.irq0_disconnected ? KVM_PIT_FLAGS_HPET_LEGACY : 0u);
  return out;
}

}  // namespace vmsnap::vmm
