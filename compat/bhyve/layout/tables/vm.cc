// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kExitInfo[] = {
    i32("exitcode"),
    i32("inst_length"),
    u64("rip"),
    bytes("union", 120).note("by exitcode; differs between kernels in what lies where"),
};

constexpr Item kVcpu[] = {
    i32("x2apic_state").note("0 disabled, 1 enabled"),
    u64("exitintinfo"),
    i32("exc_vector"),
    i32("exc_errcode_valid"),
    u32("exc_errcode"),
    u64("guest_xcr0"),
    record("exitinfo", kExitInfo),
    u64("nextrip"),
    u64("tsc").note("value the guest would read; generation B loses it when it restores"),
};

constexpr std::string_view kStartupCpus = "bit i: vCPU i waits for its start-up interrupt";

constexpr Item kItemsA[] = {for_each_vcpu_of_a(kVcpu)};

constexpr Item kItemsAWithCpuset[] = {
    for_each_vcpu_of_a(kVcpu),
    u64("startup_cpus").times(ContextValue::kCpusetLongs).note(kStartupCpus),
};

constexpr Item kItemsB[] = {
    for_each_vcpu(kVcpu),
    u64("startup_cpus", 4).note(kStartupCpus),
};

constexpr Item kItemsC[] = {
    for_each_vcpu(kVcpu),
    u64("startup_cpus").times(ContextValue::kCpusetLongs).note(kStartupCpus),
};

constexpr Layout kLayouts[] = {
    layout("vm", "A", "A, A2", kItemsA),
    layout("vm", "A+cpuset", "between A2 and B", kItemsAWithCpuset,
           "startup_cpus came before the records of vCPUs that do not exist went; as wide as in B or C."),
    layout("vm", "B", "B", kItemsB),
    layout(
        "vm", "C", "C0, C", kItemsC,
        "startup_cpus has one bit for each vCPU that the kernel was built for: 128 bytes unless it was built "
        "with another limit than 1024."),
};

}  // namespace

constinit const std::span<const Layout> kVm = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
