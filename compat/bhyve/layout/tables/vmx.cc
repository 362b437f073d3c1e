// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/cpu_registers.h"
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kIntelVcpu[] = {
    group(kIntelMsrs, "Intel MSRs"),
    group(kIntelRegisters, "Intel general registers"),
};

constexpr Item kIntelItems[] = {for_each_vcpu_of_a(kIntelVcpu)};

constexpr std::string_view kHostRegister = "register of the host";
constexpr std::string_view kReserved = "reserved in the VMCB";

/// The VMCB from 0xa0 to 0xbff of its state save area.
constexpr Item kSaveArea[] = {
    bytes("reserved_0a0", 0x2b).note(kReserved),
    u8("cpl"),
    bytes("reserved_0cc", 4).note(kReserved),
    u64("efer"),
    bytes("reserved_0d8", 0x70).note(kReserved),
    u64("cr4"),
    u64("cr3"),
    u64("cr0"),
    u64("dr7"),
    u64("dr6"),
    u64("rflags"),
    u64("rip"),
    bytes("reserved_180", 0x58).note(kReserved),
    u64("rsp"),
    bytes("reserved_1e0", 0x18).note(kReserved),
    u64("rax"),
    group(kAmdSystemCalls),
    u64("cr2"),
    bytes("reserved_248", 0x20).note(kReserved),
    u64("g_pat"),
    group(kAmdLastBranch),
    bytes("reserved_298", 0xc00 - 0x298).note(kReserved),
};

constexpr Item kAmdVcpu[] = {
    u8("v_tpr"),
    u64("v_tpr_again"),
    u32("asid"),
    u64("np_enable"),
    u64("intr_shadow"),
    u8("tlb_ctrl"),
    record("save_area", kSaveArea).note("the VMCB as it is in memory"),
    group(kAmdRegisters, "AMD general registers"),
    u64("host_dr0").meaningless(kHostRegister),
    u64("host_dr1").meaningless(kHostRegister),
    u64("host_dr2").meaningless(kHostRegister),
    u64("host_dr3").meaningless(kHostRegister),
    u64("host_dr6").meaningless(kHostRegister),
    u64("host_dr7").meaningless(kHostRegister),
    u64("host_debugctl").meaningless(kHostRegister),
    group(kAmdRun, "AMD run state"),
};

constexpr Item kAmdItems[] = {
    u64("nptp").meaningless("host-physical address of the root of the nested page tables"),
    for_each_vcpu_of_a(kAmdVcpu),
};

constexpr Layout kLayouts[] = {
    layout("vmx", "Intel A", "A, A2", Vendor::kIntel, kIntelItems),
    layout("vmx", "AMD A", "A, A2", Vendor::kAmd, kAmdItems),
    {"vmx", "B", "B", std::nullopt, nullptr, 0,
     "Empty. bhyve refuses to restore an empty structure, so generation B cannot resume what it saves."},
};

}  // namespace

constinit const std::span<const Layout> kVmx = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
