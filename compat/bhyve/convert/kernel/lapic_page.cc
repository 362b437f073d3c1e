// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/lapic_page.h"

#include <algorithm>
#include <optional>

#include "bhyve/convert/kernel/cpu.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::size_t kId = 0x20, kTpr = 0x80, kPpr = 0xa0, kDfr = 0xe0, kIcrLow = 0x300, kIcrHigh = 0x310;

struct Register {
  std::size_t offset;
  std::string_view field;
};
constexpr Register kRegisters[] = {
    {0x30, "version"},
    {kTpr, "tpr"},
    {0xd0, "ldr"},
    {0xf0, "svr"},
    {0x280, "esr"},
    {0x2f0, "lvt_cmci"},
    {0x320, "lvt_timer"},
    {0x330, "lvt_thermal"},
    {0x340, "lvt_performance"},
    {0x350, "lvt_lint0"},
    {0x360, "lvt_lint1"},
    {0x370, "lvt_error"},
    {0x380, "timer_initial_count"},
    {0x3e0, "timer_divide"},
};

/// Registers of one bit per vector, in words 16 bytes apart.
constexpr Register kVectorRegisters[] = {{0x100, "isr"}, {0x180, "tmr"}, {0x200, "irr"}};
constexpr std::size_t kWords = 8, kStride = 16, kBitsPerWord = 32;

constexpr unsigned kXapicIdShift = 24;
/// bhyve keeps 0 in x2APIC mode, where the register does not exist.
constexpr std::uint32_t kDfrInX2apic = 0xffffffff;
constexpr std::uint32_t kPriorityClass = 0xf0;

/// The priority that holds interrupts off: the task's, or that of the interrupt being served.
Result<std::uint32_t> processor_priority(const StateTree& lapic) {
  VMSNAP_ASSIGN_OR_RETURN(const auto task, lapic.get<std::uint32_t>("tpr"));
  VMSNAP_ASSIGN_OR_RETURN(const auto served, vectors_of(lapic, "isr"));
  const std::uint32_t service = served.empty() ? 0 : served.back() & kPriorityClass;
  return (task & kPriorityClass) >= service ? task : service;
}

}  // namespace

Result<void> page_to_lapic(ByteView page, StateTree& lapic) {
  VMSNAP_ASSIGN_OR_RETURN(const bool x2apic, is_x2apic(lapic));
  const auto id = load_le<std::uint32_t>(page, kId);
  VMSNAP_RETURN_IF_ERROR(lapic.set("apic_id", x2apic ? id : id >> kXapicIdShift));
  VMSNAP_RETURN_IF_ERROR(lapic.set("dfr", x2apic ? kDfrInX2apic : load_le<std::uint32_t>(page, kDfr)));
  for (const Register& one : kRegisters) {
    VMSNAP_RETURN_IF_ERROR(lapic.set(one.field, load_le<std::uint32_t>(page, one.offset)));
  }
  VMSNAP_RETURN_IF_ERROR(lapic.set("icr", std::uint64_t{load_le<std::uint32_t>(page, kIcrHigh)} << 32 |
                                              load_le<std::uint32_t>(page, kIcrLow)));
  for (const Register& one : kVectorRegisters) {
    std::vector<std::uint32_t> words(kWords);
    for (std::size_t i = 0; i < kWords; ++i) {
      words[i] = load_le<std::uint32_t>(page, one.offset + i * kStride);
    }
    VMSNAP_RETURN_IF_ERROR(lapic.set(one.field, words));
  }
  return {};
}

Result<ByteVector> lapic_to_page(const StateTree& lapic) {
  ByteVector page(kApicPageSize);
  VMSNAP_ASSIGN_OR_RETURN(const bool x2apic, is_x2apic(lapic));
  VMSNAP_ASSIGN_OR_RETURN(const auto id, lapic.get<std::uint32_t>("apic_id"));
  store_le<std::uint32_t>(page, kId, x2apic ? id : id << kXapicIdShift);
  VMSNAP_ASSIGN_OR_RETURN(const auto dfr, lapic.get<std::uint32_t>("dfr"));
  store_le<std::uint32_t>(page, kDfr, x2apic ? 0 : dfr);
  for (const Register& one : kRegisters) {
    VMSNAP_ASSIGN_OR_RETURN(const auto value, lapic.get<std::optional<std::uint32_t>>(one.field));
    store_le<std::uint32_t>(page, one.offset, value.value_or(0));
  }
  VMSNAP_ASSIGN_OR_RETURN(const auto icr, lapic.get<std::uint64_t>("icr"));
  store_le<std::uint32_t>(page, kIcrLow, static_cast<std::uint32_t>(icr));
  store_le<std::uint32_t>(page, kIcrHigh, static_cast<std::uint32_t>(icr >> 32));
  for (const Register& one : kVectorRegisters) {
    VMSNAP_ASSIGN_OR_RETURN(const auto words, lapic.get<std::vector<std::uint32_t>>(one.field));
    for (std::size_t i = 0; i < std::min(words.size(), kWords); ++i) {
      store_le<std::uint32_t>(page, one.offset + i * kStride, words[i]);
    }
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t priority, processor_priority(lapic));
  store_le<std::uint32_t>(page, kPpr, priority);
  return page;
}

Result<std::vector<std::uint8_t>> vectors_of(const StateTree& lapic, std::string_view field) {
  VMSNAP_ASSIGN_OR_RETURN(const auto words, lapic.get<std::vector<std::uint32_t>>(field));
  std::vector<std::uint8_t> vectors;
  for (std::size_t vector = 0; vector < std::min(words.size(), kWords) * kBitsPerWord; ++vector) {
    const bool is_set = (words[vector / kBitsPerWord] >> vector % kBitsPerWord & 1) != 0;
    if (is_set) vectors.push_back(static_cast<std::uint8_t>(vector));
  }
  return vectors;
}

}  // namespace vmsnap::compat::bhyve
