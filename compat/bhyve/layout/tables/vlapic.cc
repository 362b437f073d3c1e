// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kBeginning[] = {
    bytes("apic_page", 4096).note("registers at their architectural MMIO offsets"),
    u32("esr_pending"),
    i64("timer_freq_bt.sec"),
    u64("timer_freq_bt.frac"),
    u8("isrvec_stk", 17),
    i32("isrvec_stk_top"),
};

constexpr Item kEnd[] = {
    u32("lvt_last", 7).note("LINT0, LINT1, timer, error, performance, thermal, CMCI"),
    u32("ccr").note("current count of the timer"),
};

constexpr Item kVcpuA[] = {
    group(kBeginning),
    i32("boot_state").note("0 waits for INIT, 1 waits for SIPI, 2 runs"),
    group(kEnd),
};

constexpr Item kVcpuB[] = {
    group(kBeginning),
    group(kEnd),
};

constexpr Item kItemsA[] = {for_each_vcpu_of_a(kVcpuA)};
constexpr Item kItemsB[] = {for_each_vcpu(kVcpuB)};

constexpr Layout kLayouts[] = {
    layout("vlapic", "A", "A, A2", kItemsA, "The APIC base register is not saved."),
    layout("vlapic", "B", "B, C0, C", kItemsB, "The APIC base register is not saved."),
};

}  // namespace

constinit const std::span<const Layout> kVlapic = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
