// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"
#include "bhyve/layout/tables/virtio.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kItems[] = {group(kPciPrefix), group(kVirtio, "Virtio device")};

constexpr Layout kLayouts[] = {layout("virtio-rnd", "by axes", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVirtioRnd = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
