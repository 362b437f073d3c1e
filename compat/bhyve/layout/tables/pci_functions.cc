// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kItems[] = {group(kPciPrefix)};

constexpr Layout kLayouts[] = {
    layout("hostbridge", "by axes", "C0, C", kItems),
    layout("dummy", "by axes", "C0, C", kItems),
};

}  // namespace

constinit const std::span<const Layout> kPciFunctions = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
