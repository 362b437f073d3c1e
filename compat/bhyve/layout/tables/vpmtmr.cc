// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kItems[] = {
    u32("baseval").note("0 in practice: the timer starts anew when a snapshot is restored")};

constexpr Layout kLayouts[] = {layout("vpmtmr", "A", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVpmtmr = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
