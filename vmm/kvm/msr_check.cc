// SPDX-License-Identifier: BSD-2-Clause
// Intel SDM Vol. 4, table 2-2; memory types: Vol. 3A, 12.11 and 12.12.
#include "kvm/msr_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/state_buffer.h"
#include "kvm/msr_fields.h"
#include "kvm/msr_list.h"

namespace vmsnap::vmm {
namespace {

using Value = flatbuffers::Optional<std::uint64_t>;

constexpr std::size_t kMaxOtherMsrs = 2048;

// Sets of memory types, by number.
constexpr unsigned kMtrrTypes = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6;  // UC, WC, WT, WP, WB
constexpr unsigned kPatTypes = kMtrrTypes | 1u << 7;                              // and UC-
constexpr std::uint64_t kDefTypeReserved = ~std::uint64_t{0xcff};
constexpr std::uint64_t kPhysBaseReserved = 0xf00;
constexpr std::uint64_t kPhysMaskReserved = 0x7ff;
constexpr unsigned kLinearAddressBits = 57;  // with five levels of page tables

bool is_type(std::uint64_t type, unsigned types) {
  return type < 8 && ((types >> type) & 1) != 0;
}

bool all_bytes_are_types(std::uint64_t value, unsigned types) {
  for (unsigned byte = 0; byte < 8; ++byte) {
    if (!is_type((value >> (8 * byte)) & 0xff, types)) return false;
  }
  return true;
}

bool is_canonical(std::uint64_t address) {
  const auto high = static_cast<std::int64_t>(address) >> (kLinearAddressBits - 1);
  return high == 0 || high == -1;
}

Result<void> check_other(const std::vector<schema::Msr>& msrs) {
  constexpr const char* kField = "other_msrs";
  if (msrs.size() > kMaxOtherMsrs) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("there are {} MSRs without a field, more than {}", msrs.size(), kMaxOtherMsrs))
        .in_field(kField);
  }
  for (std::size_t i = 0; i < msrs.size(); ++i) {
    const schema::Msr& msr = msrs[i];
    if (i > 0 && msr.index() <= msrs[i - 1].index()) {
      return corrupt_field(kField,
                           fmt::format("{} stands after {}: each MSR must stand once, in rising order",
                                       msr_name(msr.index()), msr_name(msrs[i - 1].index())));
    }
    if (msr.reserved() != 0) {
      return corrupt_field(kField, fmt::format("the reserved word of {} is not zero", msr_name(msr.index())));
    }
    if (has_own_field(msr.index()) || has_msr_field(msr.index())) {
      return corrupt_field(kField,
                           fmt::format("{} stands among the MSRs without a field, but has one of its own",
                                       msr_name(msr.index())));
    }
  }
  return {};
}

/// Numbers rise, and none is beyond `count`.
template <typename T>
Result<void> check_numbers(const std::vector<std::unique_ptr<T>>& list, const char* field, unsigned count) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i]->number >= count) {
      return corrupt_field(fmt::format("{}[{}].number", field, i),
                           fmt::format("the number is {}; the highest is {}", list[i]->number, count - 1));
    }
    if (i > 0 && list[i]->number <= list[i - 1]->number) {
      return corrupt_field(fmt::format("{}[{}].number", field, i),
                           fmt::format("number {} stands after {}: each must stand once, in rising order",
                                       list[i]->number, list[i - 1]->number));
    }
  }
  return {};
}

Result<void> check_mtrr(const std::string& field, const schema::VariableMtrrT& mtrr) {
  const std::uint64_t base = mtrr.base.value_or(0);
  if ((base & kPhysBaseReserved) != 0 || !is_type(base & 0xff, kMtrrTypes)) {
    return corrupt_field(
        field + ".base",
        fmt::format("IA32_MTRR_PHYSBASE{} is {:#x}, whose memory type does not exist", mtrr.number, base));
  }
  if ((mtrr.mask.value_or(0) & kPhysMaskReserved) != 0) {
    return corrupt_field(field + ".mask", fmt::format("IA32_MTRR_PHYSMASK{} is {:#x}, with reserved bits set",
                                                      mtrr.number, *mtrr.mask));
  }
  return {};
}

Result<void> check_memory_types(const schema::X86CpuT& cpu) {
  const schema::MemoryTypesT& types = *cpu.memory_types;
  if (!all_bytes_are_types(types.pat.value_or(0), kPatTypes)) {
    return corrupt_field(
        "memory_types.pat",
        fmt::format("IA32_PAT is {:#018x}, with a memory type that does not exist", *types.pat));
  }
  const std::uint64_t def_type = types.mtrr_def_type.value_or(0);
  if ((def_type & kDefTypeReserved) != 0 || !is_type(def_type & 0xff, kMtrrTypes)) {
    return corrupt_field(
        "memory_types.mtrr_def_type",
        fmt::format(
            "IA32_MTRR_DEF_TYPE is {:#x}, with reserved bits set or a memory type that does not exist",
            def_type));
  }
  constexpr std::uint32_t kFirstFixed = 0x250, kLastFixed = 0x26f;
  for (const MsrField& each : msr_fields()) {
    if (each.index < kFirstFixed || each.index > kLastFixed) continue;
    const std::uint64_t value = each.get(cpu).value_or(0);
    if (!all_bytes_are_types(value, kMtrrTypes)) {
      return corrupt_field(
          each.path, fmt::format("{} is {:#018x}, with a memory type that does not exist", each.name, value));
    }
  }
  constexpr const char* kVariable = "memory_types.variable_mtrrs";
  VMSNAP_RETURN_IF_ERROR(check_numbers(types.variable_mtrrs, kVariable, kMaxVariableMtrrs));
  for (std::size_t i = 0; i < types.variable_mtrrs.size(); ++i) {
    VMSNAP_RETURN_IF_ERROR(check_mtrr(fmt::format("{}[{}]", kVariable, i), *types.variable_mtrrs[i]));
  }
  return {};
}

Result<void> check_addresses(const schema::X86CpuT& cpu) {
  // LSTAR, CSTAR, KERNEL_GS_BASE, SYSENTER_ESP and SYSENTER_EIP.
  constexpr std::uint32_t kAddresses[] = {0xc0000082, 0xc0000083, 0xc0000102, 0x175, 0x176};
  for (const MsrField& each : msr_fields()) {
    if (std::find(std::begin(kAddresses), std::end(kAddresses), each.index) == std::end(kAddresses)) continue;
    const Value value = each.get(cpu);
    if (value.has_value() && !is_canonical(*value)) {
      return corrupt_field(each.path,
                           fmt::format("{} is {:#x}, which is not a canonical address", each.name, *value));
    }
  }
  return {};
}

}  // namespace

Result<void> check_msrs(const schema::X86CpuT& cpu) {
  VMSNAP_RETURN_IF_ERROR(check_other(cpu.other_msrs));
  if (cpu.memory_types != nullptr) VMSNAP_RETURN_IF_ERROR(check_memory_types(cpu));
  if (cpu.machine_check != nullptr) {
    VMSNAP_RETURN_IF_ERROR(check_numbers(cpu.machine_check->banks, "machine_check.banks", kMaxBanks));
  }
  return check_addresses(cpu);
}

}  // namespace vmsnap::vmm
