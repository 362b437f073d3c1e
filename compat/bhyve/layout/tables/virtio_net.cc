// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"
#include "bhyve/layout/tables/virtio.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kEnd[] = {
    u8("cfg.mac", 6),
    u16("cfg.status"),
    u16("cfg.max_virtqueue_pairs"),
    u16("cfg.mtu"),
    i32("rx_merge"),
    u64("vhdrlen").note("10, or 12 with mergeable buffers"),
    u64("be_vhdrlen").note("0 or vhdrlen"),
};

constexpr Item kTailA[] = {
    u64("vsc_features"),
    group(kEnd),
};

constexpr Item kTailB[] = {
    u64("vsc_features"),
    boolean("features_negotiated"),
    group(kEnd),
};

constexpr Item kItems[] = {
    group(kPciPrefix),
    group(kVirtio, "Virtio device"),
    group(kTailA).in_shape(Axis::kNetTail, Shape::kA),
    group(kTailB).in_shape(Axis::kNetTail, Shape::kB),
};

constexpr Layout kLayouts[] = {layout("virtio-net", "by axes", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVirtioNet = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
