// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/msr_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

namespace vmsnap::vmm {
namespace {

using schema::X86CpuT;
using Value = flatbuffers::Optional<std::uint64_t>;

template <auto kGroup, auto kMember>
constexpr MsrField field(std::uint32_t index, const char* path, const char* name) {
  return {index, path, name,
          [](const X86CpuT& cpu) -> Value {
            const auto& group = cpu.*kGroup;
            return group == nullptr ? Value() : (*group).*kMember;
          },
          [](X86CpuT& cpu, std::uint64_t value) {
            auto& group = cpu.*kGroup;
            using Group = typename std::remove_reference_t<decltype(group)>::element_type;
            if (group == nullptr) group = std::make_unique<Group>();
            (*group).*kMember = value;
          }};
}

// The member and its path are one word, so that they cannot differ.
#define VMSNAP_MSR(group, Group, member, index, name) \
  field<&X86CpuT::group, &schema::Group##T::member>(index, #group "." #member, name)

constexpr MsrField kFields[] = {
    VMSNAP_MSR(syscall, SyscallRegisters, star, 0xc0000081, "IA32_STAR"),
    VMSNAP_MSR(syscall, SyscallRegisters, lstar, 0xc0000082, "IA32_LSTAR"),
    VMSNAP_MSR(syscall, SyscallRegisters, cstar, 0xc0000083, "IA32_CSTAR"),
    VMSNAP_MSR(syscall, SyscallRegisters, sfmask, 0xc0000084, "IA32_FMASK"),
    VMSNAP_MSR(syscall, SyscallRegisters, kernel_gs_base, 0xc0000102, "IA32_KERNEL_GS_BASE"),
    VMSNAP_MSR(sysenter, SysenterRegisters, cs, 0x174, "IA32_SYSENTER_CS"),
    VMSNAP_MSR(sysenter, SysenterRegisters, esp, 0x175, "IA32_SYSENTER_ESP"),
    VMSNAP_MSR(sysenter, SysenterRegisters, eip, 0x176, "IA32_SYSENTER_EIP"),
    VMSNAP_MSR(memory_types, MemoryTypes, pat, 0x277, "IA32_PAT"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_def_type, 0x2ff, "IA32_MTRR_DEF_TYPE"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix64k_00000, 0x250, "IA32_MTRR_FIX64K_00000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix16k_80000, 0x258, "IA32_MTRR_FIX16K_80000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix16k_a0000, 0x259, "IA32_MTRR_FIX16K_A0000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_c0000, 0x268, "IA32_MTRR_FIX4K_C0000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_c8000, 0x269, "IA32_MTRR_FIX4K_C8000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_d0000, 0x26a, "IA32_MTRR_FIX4K_D0000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_d8000, 0x26b, "IA32_MTRR_FIX4K_D8000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_e0000, 0x26c, "IA32_MTRR_FIX4K_E0000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_e8000, 0x26d, "IA32_MTRR_FIX4K_E8000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_f0000, 0x26e, "IA32_MTRR_FIX4K_F0000"),
    VMSNAP_MSR(memory_types, MemoryTypes, mtrr_fix4k_f8000, 0x26f, "IA32_MTRR_FIX4K_F8000"),
    VMSNAP_MSR(time_stamp, TimeStampRegisters, tsc_adjust, 0x3b, "IA32_TSC_ADJUST"),
    VMSNAP_MSR(time_stamp, TimeStampRegisters, tsc_aux, 0xc0000103, "IA32_TSC_AUX"),
    VMSNAP_MSR(debug, DebugControls, debugctl, 0x1d9, "IA32_DEBUGCTL"),
    VMSNAP_MSR(machine_check, MachineCheck, mcg_status, 0x17a, "IA32_MCG_STATUS"),
    VMSNAP_MSR(machine_check, MachineCheck, mcg_ctl, 0x17b, "IA32_MCG_CTL"),
    VMSNAP_MSR(machine_check, MachineCheck, mcg_ext_ctl, 0x4d0, "IA32_MCG_EXT_CTL"),
    VMSNAP_MSR(speculation, SpeculationControls, spec_ctrl, 0x48, "IA32_SPEC_CTRL"),
    VMSNAP_MSR(speculation, SpeculationControls, arch_capabilities, 0x10a, "IA32_ARCH_CAPABILITIES"),
    VMSNAP_MSR(speculation, SpeculationControls, tsx_ctrl, 0x122, "IA32_TSX_CTRL"),
    VMSNAP_MSR(speculation, SpeculationControls, virt_spec_ctrl, 0xc001011f, "VIRT_SPEC_CTRL"),
    VMSNAP_MSR(extended_state, ExtendedStateControls, xss, 0xda0, "IA32_XSS"),
    VMSNAP_MSR(extended_state, ExtendedStateControls, xfd, 0x1c4, "IA32_XFD"),
    VMSNAP_MSR(extended_state, ExtendedStateControls, xfd_err, 0x1c5, "IA32_XFD_ERR"),
    VMSNAP_MSR(extended_state, ExtendedStateControls, bndcfgs, 0xd90, "IA32_BNDCFGS"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, u_cet, 0x6a0, "IA32_U_CET"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, s_cet, 0x6a2, "IA32_S_CET"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, pl0_ssp, 0x6a4, "IA32_PL0_SSP"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, pl1_ssp, 0x6a5, "IA32_PL1_SSP"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, pl2_ssp, 0x6a6, "IA32_PL2_SSP"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, pl3_ssp, 0x6a7, "IA32_PL3_SSP"),
    VMSNAP_MSR(control_flow, ControlFlowEnforcement, interrupt_ssp_table_addr, 0x6a8,
               "IA32_INTERRUPT_SSP_TABLE_ADDR"),
    VMSNAP_MSR(controls, ProcessorControls, feature_control, 0x3a, "IA32_FEATURE_CONTROL"),
    VMSNAP_MSR(controls, ProcessorControls, bios_sign_id, 0x8b, "IA32_BIOS_SIGN_ID"),
    VMSNAP_MSR(controls, ProcessorControls, platform_info, 0xce, "MSR_PLATFORM_INFO"),
    VMSNAP_MSR(controls, ProcessorControls, umwait_control, 0xe1, "IA32_UMWAIT_CONTROL"),
    VMSNAP_MSR(controls, ProcessorControls, misc_features_enables, 0x140, "MSR_MISC_FEATURES_ENABLES"),
    VMSNAP_MSR(controls, ProcessorControls, misc_enable, 0x1a0, "IA32_MISC_ENABLE"),
    VMSNAP_MSR(controls, ProcessorControls, power_ctl, 0x1fc, "MSR_POWER_CTL"),
    VMSNAP_MSR(controls, ProcessorControls, hwcr, 0xc0010015, "HWCR"),
    VMSNAP_MSR(smm, SystemManagement, smbase, 0x9e, "IA32_SMBASE"),
    VMSNAP_MSR(smm, SystemManagement, smi_count, 0x34, "MSR_SMI_COUNT"),
    VMSNAP_MSR(kvm, KvmRegisters, wall_clock, 0x11, "MSR_KVM_WALL_CLOCK"),
    VMSNAP_MSR(kvm, KvmRegisters, system_time, 0x12, "MSR_KVM_SYSTEM_TIME"),
    VMSNAP_MSR(kvm, KvmRegisters, wall_clock_new, 0x4b564d00, "MSR_KVM_WALL_CLOCK_NEW"),
    VMSNAP_MSR(kvm, KvmRegisters, system_time_new, 0x4b564d01, "MSR_KVM_SYSTEM_TIME_NEW"),
    VMSNAP_MSR(kvm, KvmRegisters, async_pf_en, 0x4b564d02, "MSR_KVM_ASYNC_PF_EN"),
    VMSNAP_MSR(kvm, KvmRegisters, steal_time, 0x4b564d03, "MSR_KVM_STEAL_TIME"),
    VMSNAP_MSR(kvm, KvmRegisters, eoi_en, 0x4b564d04, "MSR_KVM_EOI_EN"),
    VMSNAP_MSR(kvm, KvmRegisters, poll_control, 0x4b564d05, "MSR_KVM_POLL_CONTROL"),
    VMSNAP_MSR(kvm, KvmRegisters, async_pf_int, 0x4b564d06, "MSR_KVM_ASYNC_PF_INT"),
    VMSNAP_MSR(kvm, KvmRegisters, async_pf_ack, 0x4b564d07, "MSR_KVM_ASYNC_PF_ACK"),
    VMSNAP_MSR(kvm, KvmRegisters, migration_control, 0x4b564d08, "MSR_KVM_MIGRATION_CONTROL"),
};
#undef VMSNAP_MSR

/// A register of an array: of element `number`, the field at place `part`.
struct Element {
  std::size_t number;
  std::size_t part;
};

constexpr std::array kMtrrParts = {&schema::VariableMtrrT::base, &schema::VariableMtrrT::mask};
constexpr std::array kMtrrNames = {"IA32_MTRR_PHYSBASE", "IA32_MTRR_PHYSMASK"};
// CTL2 lies apart from the other four.
constexpr std::array kBankParts = {&schema::MachineCheckBankT::ctl, &schema::MachineCheckBankT::status,
                                   &schema::MachineCheckBankT::addr, &schema::MachineCheckBankT::misc,
                                   &schema::MachineCheckBankT::ctl2};
constexpr std::array kBankNames = {"CTL", "STATUS", "ADDR", "MISC", "CTL2"};

std::optional<Element> as_mtrr(std::uint32_t index) {
  const std::uint32_t at = index - kMsrMtrrPhysBase0;
  if (index < kMsrMtrrPhysBase0 || at >= kRegistersPerMtrr * kMaxVariableMtrrs) return std::nullopt;
  return Element{at / kRegistersPerMtrr, at % kRegistersPerMtrr};
}

std::optional<Element> as_bank(std::uint32_t index) {
  if (index >= kMsrMc0Ctl2 && index - kMsrMc0Ctl2 < kMaxBanks) {
    return Element{index - kMsrMc0Ctl2, kRegistersPerBank};
  }
  const std::uint32_t at = index - kMsrMc0Ctl;
  if (index < kMsrMc0Ctl || at >= kRegistersPerBank * kMaxBanks) return std::nullopt;
  return Element{at / kRegistersPerBank, at % kRegistersPerBank};
}

std::uint32_t mtrr_index(const Element& at) {
  return static_cast<std::uint32_t>(kMsrMtrrPhysBase0 + kRegistersPerMtrr * at.number + at.part);
}

std::uint32_t bank_index(const Element& at) {
  const std::size_t index = at.part == kRegistersPerBank
                                ? kMsrMc0Ctl2 + at.number
                                : kMsrMc0Ctl + kRegistersPerBank * at.number + at.part;
  return static_cast<std::uint32_t>(index);
}

const MsrField* find_field(std::uint32_t index) {
  const auto* found = std::find_if(std::begin(kFields), std::end(kFields),
                                   [index](const MsrField& each) { return each.index == index; });
  return found == std::end(kFields) ? nullptr : found;
}

/// The element of that number, made in its place when it is not there.
template <typename T>
T& element(std::vector<std::unique_ptr<T>>& list, std::size_t number) {
  auto at = std::find_if(list.begin(), list.end(), [&](const auto& each) { return each->number >= number; });
  if (at == list.end() || (*at)->number != number) {
    at = list.insert(at, std::make_unique<T>());
    (*at)->number = static_cast<std::uint8_t>(number);
  }
  return **at;
}

template <typename T, typename Parts, typename Index>
void collect(const std::vector<std::unique_ptr<T>>& list, const Parts& parts, Index index,
             std::vector<schema::Msr>& out) {
  for (const auto& each : list) {
    for (std::size_t part = 0; part < parts.size(); ++part) {
      const Value& value = (*each).*parts[part];
      if (value.has_value()) out.emplace_back(index(Element{each->number, part}), 0u, *value);
    }
  }
}

void put_msr(X86CpuT& cpu, const schema::Msr& msr) {
  if (const MsrField* field = find_field(msr.index())) {
    field->set(cpu, msr.value());
  } else if (const auto mtrr = as_mtrr(msr.index())) {
    if (cpu.memory_types == nullptr) cpu.memory_types = std::make_unique<schema::MemoryTypesT>();
    element(cpu.memory_types->variable_mtrrs, mtrr->number).*kMtrrParts[mtrr->part] = msr.value();
  } else if (const auto bank = as_bank(msr.index())) {
    if (cpu.machine_check == nullptr) cpu.machine_check = std::make_unique<schema::MachineCheckT>();
    element(cpu.machine_check->banks, bank->number).*kBankParts[bank->part] = msr.value();
  } else {
    cpu.other_msrs.push_back(msr);
  }
}

void sort_by_index(std::vector<schema::Msr>& msrs) {
  std::sort(msrs.begin(), msrs.end(),
            [](const schema::Msr& a, const schema::Msr& b) { return a.index() < b.index(); });
}

}  // namespace

std::span<const MsrField> msr_fields() {
  return kFields;
}

std::string msr_path(std::uint32_t index) {
  if (const MsrField* field = find_field(index)) return field->path;
  if (as_mtrr(index)) return "memory_types.variable_mtrrs";
  if (as_bank(index)) return "machine_check.banks";
  return "other_msrs";
}

std::optional<std::string> msr_field_name(std::uint32_t index) {
  if (const MsrField* field = find_field(index)) return field->name;
  if (const auto mtrr = as_mtrr(index)) return fmt::format("{}{}", kMtrrNames[mtrr->part], mtrr->number);
  if (const auto bank = as_bank(index)) {
    return fmt::format("IA32_MC{}_{}", bank->number, kBankNames[bank->part]);
  }
  return std::nullopt;
}

bool has_msr_field(std::uint32_t index) {
  return find_field(index) != nullptr || as_mtrr(index) || as_bank(index);
}

void put_msrs(X86CpuT& cpu, std::span<const schema::Msr> msrs) {
  for (const schema::Msr& msr : msrs) put_msr(cpu, msr);
  sort_by_index(cpu.other_msrs);
}

std::vector<schema::Msr> all_msrs(const X86CpuT& cpu) {
  std::vector<schema::Msr> all = cpu.other_msrs;
  for (const MsrField& field : kFields) {
    const Value value = field.get(cpu);
    if (value.has_value()) all.emplace_back(field.index, 0u, *value);
  }
  if (cpu.memory_types != nullptr) collect(cpu.memory_types->variable_mtrrs, kMtrrParts, mtrr_index, all);
  if (cpu.machine_check != nullptr) collect(cpu.machine_check->banks, kBankParts, bank_index, all);
  sort_by_index(all);
  return all;
}

}  // namespace vmsnap::vmm
