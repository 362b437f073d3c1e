// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kChannel[] = {
    i32("mode"),
    u16("initial"),
    i64("now_bt.sec").note("uptime of the host when the counter was loaded"),
    u64("now_bt.frac"),
    u8("cr", 2),
    u8("ol", 2).note("latched count, high byte first"),
    boolean("slatched"),
    u8("status").note("bits 0x80 (OUT) and 0x40 (null count) only"),
    i32("crbyte"),
    i32("frbyte"),
    i64("callout_bt.sec").note("uptime of the host when the timer fires"),
    u64("callout_bt.frac"),
};

constexpr Item kItems[] = {
    i64("freq_bt.sec").note("seconds per tick"),
    u64("freq_bt.frac").note("in 2^-64 seconds"),
    record("ch0", kChannel),
    record("ch1", kChannel),
    record("ch2", kChannel),
};

constexpr Layout kLayouts[] = {layout("vatpit", "A", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVatpit = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
