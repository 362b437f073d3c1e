// SPDX-License-Identifier: BSD-2-Clause
// Intel SDM Vol. 3A, chapter 11.
#include <fmt/format.h>

#include "core/state_buffer.h"
#include "kvm/lapic_bits.h"
#include "kvm/state_check.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint32_t kReservedVectors = 0xffff;  // 0 to 15 (11.5.2)
constexpr std::uint32_t kDfrFixed = 0x0fffffff;
constexpr std::uint32_t kMaxXapicId = 0xff;

struct Mask {
  const char* field;
  std::uint32_t value;
  std::uint32_t defined;  // bits
};

Error reserved_bits(const char* field, std::uint64_t value) {
  return corrupt_field(field, fmt::format("the register is {:#x}, with reserved bits set", value));
}

}  // namespace

Result<void> check_state(const schema::LapicT& lapic) {
  if ((lapic.apic_base & ~(kApicBaseBsp | kApicBaseX2 | kApicBaseEnable | kApicBaseAddress)) != 0) {
    return reserved_bits("apic_base", lapic.apic_base);
  }
  const bool x2 = (lapic.apic_base & kApicBaseX2) != 0;
  if (x2 && (lapic.apic_base & kApicBaseEnable) == 0) {
    return corrupt_field("apic_base",
                         "the local APIC is in x2APIC mode and disabled, which no processor allows");
  }
  if (!x2 && lapic.apic_id > kMaxXapicId) {
    return corrupt_field("apic_id",
                         fmt::format("the APIC ID is {}; outside x2APIC mode it has 8 bits", lapic.apic_id));
  }
  if (!x2 && (lapic.ldr & 0x00ffffff) != 0) return reserved_bits("ldr", lapic.ldr);
  if ((lapic.dfr & kDfrFixed) != kDfrFixed) {
    return corrupt_field("dfr",
                         fmt::format("the register is {:#x}; its low 28 bits are always set", lapic.dfr));
  }
  const std::pair<const char*, const std::vector<std::uint32_t>*> vectors[] = {
      {"isr", &lapic.isr}, {"tmr", &lapic.tmr}, {"irr", &lapic.irr}};
  for (const auto& [field, words] : vectors) {
    if (words->size() != kApicVectorWords) {
      return corrupt_field(field,
                           fmt::format("the register has {} words, not {}", words->size(), kApicVectorWords));
    }
    if ((words->front() & kReservedVectors) != 0) {
      return corrupt_field(field, "one of the vectors 0 to 15 is set, which a local APIC does not accept");
    }
  }
  constexpr std::uint32_t kLvt = 0x117ff;   // vector, delivery mode and status, mask
  constexpr std::uint32_t kLint = 0x1f7ff;  // besides: polarity, remote IRR, trigger mode
  const Mask masks[] = {
      {"tpr", lapic.tpr, 0xff},
      {"svr", lapic.svr, 0x13ff},
      {"esr", lapic.esr, 0xff},
      {"esr_pending", lapic.esr_pending.value_or(0), 0xff},
      {"lvt_timer", lapic.lvt_timer, 0x710ff},
      {"lvt_thermal", lapic.lvt_thermal, kLvt},
      {"lvt_performance", lapic.lvt_performance, kLvt},
      {"lvt_lint0", lapic.lvt_lint0, kLint},
      {"lvt_lint1", lapic.lvt_lint1, kLint},
      {"lvt_error", lapic.lvt_error, kLvt},
      {"lvt_cmci", lapic.lvt_cmci.value_or(0), kLvt},
      {"timer_divide", lapic.timer_divide, 0xb},
  };
  for (const Mask& mask : masks) {
    if ((mask.value & ~mask.defined) != 0) return reserved_bits(mask.field, mask.value);
  }
  if (((lapic.lvt_timer >> kLvtTimerModeShift) & kLvtTimerModeMask) == kLvtTimerModeMask) {
    return corrupt_field("lvt_timer", "the timer is in mode 3, which does not exist");
  }
  if (lapic.timer_current_count > lapic.timer_initial_count) {
    return corrupt_field("timer_current_count",
                         fmt::format("the timer stands at {}, beyond the {} it began with",
                                     lapic.timer_current_count, lapic.timer_initial_count));
  }
  if (lapic.timer_frequency == 0) return corrupt_field("timer_frequency", "the timer's frequency is 0");
  return {};
}

}  // namespace vmsnap::vmm
