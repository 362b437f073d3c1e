// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/cpu_registers.h"
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr std::string_view kWidened = "the field of the VMCB, widened to 64 bits";
constexpr std::string_view kHostPhysical =
    "host-physical address: restoring it in another process points the processor at memory of someone else";

constexpr Item kIntercepts[] = {
    u64("cr_intercept").note(kWidened),    u64("dr_intercept").note(kWidened),
    u64("exc_intercept").note(kWidened),   u64("inst1_intercept").note(kWidened),
    u64("inst2_intercept").note(kWidened),
};

constexpr Item kAvic[] = {u64("avic_bar"), u64("avic_page"), u64("avic_lt"), u64("avic_pt")};

constexpr Item kVcpuA[] = {
    u64("cr0"),
    u64("cr2"),
    u64("cr3"),
    u64("cr4"),
    u64("dr7"),
    u64("rax"),
    u64("rsp"),
    u64("rip"),
    u64("rflags"),
    group(kSegments, "Segment registers"),
    u64("efer").note("SVME (0x1000) is set, which the guest must not see"),
    record("IDTR", kAmdDescriptorTable),
    record("GDTR", kAmdDescriptorTable),
    group(kAmdSysenter),
    u64("npt_base").meaningless(kHostPhysical),
    group(kIntercepts),
    u64("tlb_ctrl").note(kWidened),
    u64("exitinfo1"),
    u64("exitinfo2"),
    u64("exitintinfo"),
    u64("virq").note("8 bytes at 0x60 of the VMCB"),
    u64("guest_pat"),
    group(kAvic),
    u64("io_perm").meaningless(kHostPhysical),
    u64("msr_perm").meaningless(kHostPhysical),
    u64("asid").note(kWidened),
    u64("exit_reason"),
    u64("intr_shadow").note(kWidened),
};

constexpr Item kStateB[] = {
    u64("cr0"),
    u64("cr2"),
    u64("cr3"),
    u64("cr4"),
    u64("dr6"),
    u64("dr7"),
    u64("rax"),
    u64("rsp"),
    u64("rip"),
    u64("rflags"),
    group(kSegments, "Segment registers"),
    u64("efer").note("SVME (0x1000) is set, which the guest must not see"),
    record("IDTR", kAmdDescriptorTable),
    record("GDTR", kAmdDescriptorTable),
    u64("intr_shadow").note(kWidened),
    group(kIntercepts),
    u64("pause_filthresh").note(kWidened),
    u64("pause_filcnt").note(kWidened),
    u64("asid").note(kWidened),
    u64("tlb_ctrl").note(kWidened),
    u64("virq").note("8 bytes at 0x60 of the VMCB"),
    u64("exit_reason"),
    u64("exitinfo1"),
    u64("exitinfo2"),
    u64("exitintinfo"),
    u64("np_enable").note(kWidened),
    group(kAvic),
    u64("cpl").note(kWidened),
    group(kAmdSystemCalls),
    u64("guest_pat"),
    group(kAmdLastBranch),
    group(kAmdRegisters, "AMD general registers"),
    group(kAmdRun, "AMD run state"),
};

constexpr Item kVcpuB[] = {group(kStateB, "AMD vCPU")};
constexpr Item kVcpuC[] = {group(kStateB, "AMD vCPU"), group(kMtrr, "MTRRs")};

constexpr Item kItemsA[] = {for_each_vcpu_of_a(kVcpuA)};
constexpr Item kItemsB[] = {for_each_vcpu(kVcpuB)};
constexpr Item kItemsC[] = {for_each_vcpu(kVcpuC)};

constexpr Layout kLayouts[] = {
    layout("vmcx", "AMD A", "A, A2", Vendor::kAmd, kItemsA),
    layout("vmcx", "AMD B", "B, C0", Vendor::kAmd, kItemsB),
    layout("vmcx", "AMD C", "C", Vendor::kAmd, kItemsC),
};

}  // namespace

constinit const std::span<const Layout> kVmcxAmd = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
