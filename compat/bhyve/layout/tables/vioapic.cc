// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kPin[] = {
    u64("reg").note("redirection table entry"),
    i32("acnt").note("how many hold the pin asserted"),
};

constexpr Item kItems[] = {
    u32("ioregsel"),
    record("pin", kPin).times(32),
};

constexpr Layout kLayouts[] = {
    layout("vioapic", "A", "all", kItems, "The id register is not saved."),
};

}  // namespace

constinit const std::span<const Layout> kVioapic = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
