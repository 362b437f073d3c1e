// SPDX-License-Identifier: BSD-2-Clause
// Intel 8259A, 82C54 and 82093AA data sheets; ELCR: 82371SB data sheet, 2.5.
#include <fmt/format.h>

#include "core/state_buffer.h"
#include "kvm/irqchip_convert.h"
#include "kvm/state_check.h"

namespace vmsnap::vmm {
namespace {

constexpr std::size_t kMaxIoapicPins = 32;  // as many as IRR has bits
constexpr std::uint32_t kMaxIoapicId = 15;
constexpr std::uint64_t kMaxTime = std::uint64_t{1} << 62;  // ns; 146 years
constexpr std::uint64_t kMaxPulses = kMaxTime / 1'000'000'000 * 1'193'182;

Result<void> check_chip(const std::string& name, const schema::I8259ChipT& chip, std::uint8_t elcr_mask) {
  const auto field = [&](const char* part) { return name + "." + part; };
  if ((chip.vector_base & 7) != 0) {
    return corrupt_field(field("vector_base"),
                         fmt::format("the vector of pin 0 is {:#x}, not a multiple of 8", chip.vector_base));
  }
  if (chip.initialisation_step > 4 || chip.initialisation_step == 1) {
    return corrupt_field(field("initialisation_step"),
                         fmt::format("there is no step {} of the initialisation; it is 0, 2, 3 or 4",
                                     chip.initialisation_step));
  }
  if (chip.highest_priority_pin > 7) {
    return corrupt_field(field("highest_priority_pin"),
                         fmt::format("there is no pin {}", chip.highest_priority_pin));
  }
  if ((chip.elcr & static_cast<std::uint8_t>(~elcr_mask)) != 0) {
    return corrupt_field(
        field("elcr"),
        fmt::format("the ELCR is {:#x}, with bits of pins that are always edge-triggered", chip.elcr));
  }
  return {};
}

Result<void> check_counter(const std::string& name, const schema::I8254CounterT& counter) {
  const auto field = [&](const char* part) { return name + "." + part; };
  if (counter.count == 0 || counter.count > 65536) {
    return corrupt_field(field("count"), fmt::format("the count is {}; it is 1 to 65536", counter.count));
  }
  if (counter.mode > 5) return corrupt_field(field("mode"), fmt::format("there is no mode {}", counter.mode));
  if (counter.access > schema::I8254Access::MAX) {
    return corrupt_field(field("access"),
                         fmt::format("there is no access {}", static_cast<unsigned>(counter.access)));
  }
  const bool programmed = counter.access != schema::I8254Access::None;
  if (!programmed && (counter.mode != 0 || counter.count_latched)) {
    return corrupt_field(field("access"),
                         "a counter that was never programmed has a mode or a latched count");
  }
  if ((counter.read_high_next || counter.write_high_next) &&
      counter.access != schema::I8254Access::LowThenHigh) {
    return corrupt_field(field(counter.read_high_next ? "read_high_next" : "write_high_next"),
                         "the high byte is next, although the counter is not accessed in two bytes");
  }
  if (counter.elapsed_pulses.value_or(0) > kMaxPulses) {
    return corrupt_field(field("elapsed_pulses"), "the counter was loaded more than a century ago");
  }
  return {};
}

}  // namespace

Result<void> check_state(const schema::I8259T& state) {
  VMSNAP_RETURN_IF_ERROR(check_chip("primary", *state.primary, kElcrPrimary));
  return check_chip("secondary", *state.secondary, kElcrSecondary);
}

Result<void> check_state(const schema::I8254T& state) {
  if (state.counters.size() != 3) {
    return corrupt_field("counters", fmt::format("there are {} counters, not 3", state.counters.size()));
  }
  for (std::size_t i = 0; i < state.counters.size(); ++i) {
    VMSNAP_RETURN_IF_ERROR(check_counter(fmt::format("counters[{}]", i), *state.counters[i]));
  }
  return {};
}

Result<void> check_state(const schema::IoapicT& state) {
  const std::size_t pins = state.redirection_table.size();
  if (pins == 0 || pins > kMaxIoapicPins) {
    return corrupt_field("redirection_table",
                         fmt::format("there are {} pins; an I/O APIC has 1 to {}", pins, kMaxIoapicPins));
  }
  if (state.id > kMaxIoapicId)
    return corrupt_field("id", fmt::format("the ID is {}; it has 4 bits", state.id));
  if (state.ioregsel > 0xff)
    return corrupt_field("ioregsel", fmt::format("IOREGSEL is {:#x}; it has 8 bits", state.ioregsel));
  if ((std::uint64_t{state.irr} >> pins) != 0) {
    return corrupt_field("irr", fmt::format("a request waits at a pin beyond the {} there are", pins));
  }
  return {};
}

Result<void> check_state(const schema::KvmClockT& state) {
  if (state.system_time > kMaxTime)
    return corrupt_field("system_time", "the guest has run for more than a century");
  if (state.host_realtime.value_or(0) > std::uint64_t{1} << 63) {
    return corrupt_field("host_realtime", "the wall clock of the host is beyond the year 2262");
  }
  return {};
}

}  // namespace vmsnap::vmm
