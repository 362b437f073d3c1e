// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kItems[] = {
    group(kPciPrefix),
    bytes("framebuffer", 16 << 20).note("the size of the picture is not saved"),
};

constexpr Layout kLayouts[] = {layout("fbuf", "by axes", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kFbuf = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
