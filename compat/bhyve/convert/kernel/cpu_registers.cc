// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu_registers.h"

#include <fmt/format.h>

namespace vmsnap::compat::bhyve {
namespace {

constexpr Row kPlain[] = {
    {"rax", "rax"},
    {"rbx", "rbx"},
    {"rcx", "rcx"},
    {"rdx", "rdx"},
    {"rsi", "rsi"},
    {"rdi", "rdi"},
    {"rsp", "rsp"},
    {"rbp", "rbp"},
    {"r8", "r8"},
    {"r9", "r9"},
    {"r10", "r10"},
    {"r11", "r11"},
    {"r12", "r12"},
    {"r13", "r13"},
    {"r14", "r14"},
    {"r15", "r15"},
    {"rflags", "rflags"},
    {"cr0", "cr0"},
    {"cr2", "cr2"},
    {"cr3", "cr3"},
    {"dr0", "dr0"},
    {"dr1", "dr1"},
    {"dr2", "dr2"},
    {"dr3", "dr3"},
    {"dr6", "dr6"},
    {"dr7", "dr7"},
    {"IA32_SYSENTER_CS", "sysenter.cs"},
    {"IA32_SYSENTER_ESP", "sysenter.esp"},
    {"IA32_SYSENTER_EIP", "sysenter.eip"},
    {"sysenter_cs", "sysenter.cs"},
    {"sysenter_esp", "sysenter.esp"},
    {"sysenter_eip", "sysenter.eip"},
    {"msr.LSTAR", "syscall.lstar"},
    {"msr.CSTAR", "syscall.cstar"},
    {"msr.STAR", "syscall.star"},
    {"msr.SF_MASK", "syscall.sfmask"},
    {"msr.KGSBASE", "syscall.kernel_gs_base"},
    {"msr.PAT", "memory_types.pat"},
    {"msr.TSC_AUX", "time_stamp.tsc_aux"},
    {"star", "syscall.star"},
    {"lstar", "syscall.lstar"},
    {"cstar", "syscall.cstar"},
    {"sfmask", "syscall.sfmask"},
    {"kernelgsbase", "syscall.kernel_gs_base"},
    {"guest_pat", "memory_types.pat"},
    {"dbgctl", "debug.debugctl"},
};

constexpr Row kOwnSaveArea[] = {
    {"dr6", "dr6"},
    {"star", "syscall.star"},
    {"lstar", "syscall.lstar"},
    {"cstar", "syscall.cstar"},
    {"sfmask", "syscall.sfmask"},
    {"kernelgsbase", "syscall.kernel_gs_base"},
    {"dbgctl", "debug.debugctl"},
};

constexpr std::uint64_t kCr4Vmxe = 1u << 13;
constexpr std::uint64_t kEferSvme = 1u << 12;

std::uint64_t without_vmxe(std::uint64_t cr4) {
  return cr4 & ~kCr4Vmxe;
}
std::uint64_t with_vmxe(std::uint64_t cr4) {
  return cr4 | kCr4Vmxe;
}
std::uint64_t without_svme(std::uint64_t efer) {
  return efer & ~kEferSvme;
}
std::uint64_t with_svme(std::uint64_t efer) {
  return efer | kEferSvme;
}

constexpr Row kIntelTouched[] = {
    {"cr4", "cr4", without_vmxe, with_vmxe},
    {"efer", "efer"},
};
constexpr Row kAmdTouched[] = {
    {"cr4", "cr4"},
    {"efer", "efer", without_svme, with_svme},
};

constexpr Row kRepeatedSaveArea[] = {
    {"efer", "efer", without_svme, with_svme},
    {"cr4", "cr4"},
    {"cr3", "cr3"},
    {"cr0", "cr0"},
    {"dr7", "dr7"},
    {"rflags", "rflags"},
    {"rip", "rip"},
    {"rsp", "rsp"},
    {"rax", "rax"},
    {"sysenter_cs", "sysenter.cs"},
    {"sysenter_esp", "sysenter.esp"},
    {"sysenter_eip", "sysenter.eip"},
    {"cr2", "cr2"},
    {"g_pat", "memory_types.pat"},
};

struct Segment {
  std::string_view item;
  std::string_view field;
};
constexpr Segment kSegments[] = {
    {"ES", "es"}, {"CS", "cs"}, {"SS", "ss"}, {"DS", "ds"},
    {"FS", "fs"}, {"GS", "gs"}, {"TR", "tr"}, {"LDTR", "ldtr"},
};
constexpr Segment kTables[] = {{"IDTR", "idtr"}, {"GDTR", "gdtr"}};

constexpr Row kSegmentRows[] = {
    {"selector", "selector"},
    {"base", "base"},
    {"limit", "limit"},
    {"access", "access_rights"},
};
constexpr Row kTableRows[] = {
    {"base", "base"},
    {"limit", "limit"},
};

constexpr unsigned kDplShift = 5;
constexpr std::uint32_t kDplMask = 3;

}  // namespace

std::span<const Row> plain_registers() {
  return kPlain;
}

std::span<const Row> host_touched_registers(Vendor vendor) {
  return vendor == Vendor::kIntel ? std::span<const Row>(kIntelTouched) : std::span<const Row>(kAmdTouched);
}

std::span<const Row> repeated_save_area_registers() {
  return kRepeatedSaveArea;
}

std::span<const Row> own_save_area_registers() {
  return kOwnSaveArea;
}

Result<void> segments_up(const SourceChunk& chunk, std::string_view vcpu, StateTree& cpu) {
  for (const Segment& one : kSegments) {
    VMSNAP_RETURN_IF_ERROR(carry_up(kSegmentRows, chunk, fmt::format("{}{}.", vcpu, one.item), cpu,
                                    fmt::format("{}.", one.field)));
  }
  for (const Segment& one : kTables) {
    VMSNAP_RETURN_IF_ERROR(carry_up(kTableRows, chunk, fmt::format("{}{}.", vcpu, one.item), cpu,
                                    fmt::format("{}.", one.field)));
  }
  return {};
}

Result<void> segments_down(const StateTree& cpu, std::string_view vcpu, TargetChunk& chunk) {
  for (const Segment& one : kSegments) {
    VMSNAP_RETURN_IF_ERROR(carry_down(kSegmentRows, cpu, fmt::format("{}.", one.field), chunk.values,
                                      fmt::format("{}{}.", vcpu, one.item)));
  }
  for (const Segment& one : kTables) {
    const std::string item = fmt::format("{}{}.", vcpu, one.item);
    VMSNAP_RETURN_IF_ERROR(carry_down(kTableRows, cpu, fmt::format("{}.", one.field), chunk.values, item));
    // bhyve clears it on AMD; on Intel it is whatever lay on the kernel's stack.
    if (chunk.vendor == Vendor::kAmd) chunk.values.derive(item + "access", 0);
  }
  return {};
}

Result<std::uint64_t> cpl_of(const StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const auto access, cpu.get<std::uint32_t>("ss.access_rights"));
  return std::uint64_t{access >> kDplShift & kDplMask};
}

}  // namespace vmsnap::compat::bhyve
