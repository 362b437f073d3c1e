// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kUart[] = {
    u8("data"),
    u8("ier"),
    u8("lcr"),
    u8("mcr"),
    u8("lsr"),
    u8("msr"),
    u8("fcr"),
    u8("scr"),
    u8("dll"),
    u8("dlh"),
    i32("rxfifo.rindex"),
    i32("rxfifo.windex"),
    i32("rxfifo.num"),
    i32("rxfifo.size"),
    u8("rxfifo.buf", 16),
};

constexpr Item kItems[] = {
    group(kPciPrefix),
    record("uart", kUart).times(ContextValue::kUarts),
};

constexpr Layout kLayouts[] = {
    layout("lpc", "by axes", "all", kItems,
           "Has all UARTs that the bhyve at hand knows, configured or not: 2 or 4."),
};

}  // namespace

constinit const std::span<const Layout> kLpc = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
