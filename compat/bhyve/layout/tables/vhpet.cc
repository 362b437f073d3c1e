// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kTimer[] = {
    u64("cap_config").note("may be routed to the pins 24 to 31 only"),
    u64("msireg"),
    u32("compval"),
    u32("comprate"),
    i64("callout_sbt").meaningless("uptime of the host that wrote it"),
};

constexpr Item kItems[] = {
    i64("freq_sbt").note("seconds per tick, 32.32 fixed point; 256 is 2^24 Hz"),
    u64("config"),
    u64("isr"),
    u32("countbase").note("main counter at the time of the snapshot"),
    record("timer", kTimer).times(8),
};

constexpr Layout kLayouts[] = {layout("vhpet", "A", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVhpet = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
