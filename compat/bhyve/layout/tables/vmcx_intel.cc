// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/cpu_registers.h"
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kDescriptorTable[] = {
    u64("base"),
    u32("limit"),
    u32("access").meaningless("uninitialised memory of the host's kernel"),
};

constexpr Item kCommon[] = {
    u64("cr0"),
    u64("cr3"),
    u64("cr4").note("of the VMCS: VMXE (0x2000) is set, which the guest must not see"),
    u64("dr7"),
    u64("rsp"),
    u64("rip"),
    u64("rflags"),
    group(kSegments, "Segment registers"),
    u64("efer"),
    record("IDTR", kDescriptorTable),
    record("GDTR", kDescriptorTable),
    u64("pdpte0"),
    u64("pdpte1"),
    u64("pdpte2"),
    u64("pdpte3"),
    u64("IA32_SYSENTER_CS"),
    u64("IA32_SYSENTER_ESP"),
    u64("IA32_SYSENTER_EIP"),
    u64("interruptibility"),
    u64("activity"),
    u64("entry_ctls").note("VM-entry controls"),
    u64("exit_ctls").note("VM-exit controls"),
};

constexpr Item kPostedInterrupts[] = {
    u64("pir_desc.pir", 4).note("posted interrupts, a bit per vector"),
    u64("pir_desc.pending"),
    u64("pir_desc.unused", 3),
};

constexpr Item kVcpuA[] = {group(kCommon, "Intel VMCS")};
constexpr Item kVcpuB[] = {group(kCommon, "Intel VMCS"), group(kIntelMsrs, "Intel MSRs"),
                           group(kIntelRegisters, "Intel general registers")};
constexpr Item kVcpuC0[] = {group(kCommon, "Intel VMCS"), group(kIntelMsrs, "Intel MSRs"),
                            group(kPostedInterrupts, "Intel posted interrupts"),
                            group(kIntelRegisters, "Intel general registers")};
constexpr Item kVcpuMtrrOnly[] = {group(kCommon, "Intel VMCS"), group(kIntelMsrs, "Intel MSRs"),
                                  group(kMtrr, "MTRRs"), group(kIntelRegisters, "Intel general registers")};
constexpr Item kVcpuC[] = {group(kCommon, "Intel VMCS"), group(kIntelMsrs, "Intel MSRs"),
                           group(kPostedInterrupts, "Intel posted interrupts"), group(kMtrr, "MTRRs"),
                           group(kIntelRegisters, "Intel general registers")};

constexpr Item kItemsA[] = {for_each_vcpu_of_a(kVcpuA)};
constexpr Item kItemsB[] = {for_each_vcpu(kVcpuB)};
constexpr Item kItemsC0[] = {for_each_vcpu(kVcpuC0)};
constexpr Item kItemsMtrrOnly[] = {for_each_vcpu(kVcpuMtrrOnly)};
constexpr Item kItemsC[] = {for_each_vcpu(kVcpuC)};

constexpr Layout kLayouts[] = {
    layout("vmcx", "Intel A", "A, A2", Vendor::kIntel, kItemsA),
    layout("vmcx", "Intel B", "B", Vendor::kIntel, kItemsB),
    layout("vmcx", "Intel C0", "C0", Vendor::kIntel, kItemsC0),
    layout("vmcx", "Intel 856", "none that was seen", Vendor::kIntel, kItemsMtrrOnly,
           "A branch that took the MTRRs without the posted interrupts would write it."),
    layout("vmcx", "Intel C", "C", Vendor::kIntel, kItemsC),
};

}  // namespace

constinit const std::span<const Layout> kVmcxIntel = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
