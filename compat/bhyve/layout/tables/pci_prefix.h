// SPDX-License-Identifier: BSD-2-Clause
// What the chunk of every PCI function begins with.
#pragma once

#include "bhyve/layout/tables/items.h"

namespace vmsnap::compat::bhyve::tables {

inline constexpr Item kBar[] = {
    i32("type").note("0 none, 1 I/O, 2 32-bit memory, 3 64-bit memory, 4 upper half of a 64-bit BAR, 5 ROM"),
    u64("size"),
    u64("addr"),
};

inline constexpr Item kMsixEntry[] = {
    u64("addr"),
    u32("msg_data"),
    u32("vector_control"),
};

inline constexpr Item kInterrupts[] = {
    i32("msi.enabled"),      u64("msi.addr"),        u64("msi.msg_data"),  i32("msi.maxmsgnum"),
    i32("msix.enabled"),     i32("msix.table_bar"),  i32("msix.pba_bar"),  u32("msix.table_offset"),
    i32("msix.table_count"), u32("msix.pba_offset"), i32("msix.pba_size"), i32("msix.function_mask"),
};

inline constexpr Item kPciPrefixA[] = {
    group(kInterrupts),
    i32("msix.pba_page_offset"),
    u8("config_space", 256),
    record("bar", kBar).times(6),
    record("msix.table", kMsixEntry).times_field("msix.table_count"),
};

inline constexpr Item kPciPrefixB[] = {
    group(kInterrupts),
    u8("config_space", 256),
    record("bar", kBar).times(7).note("6 is the expansion ROM"),
    record("msix.table", kMsixEntry).times_field("msix.table_count"),
};

inline constexpr Item kPciPrefix[] = {
    group(kPciPrefixA, "PCI prefix, shape A").in_shape(Axis::kPciPrefix, Shape::kA),
    group(kPciPrefixB, "PCI prefix, shape B").in_shape(Axis::kPciPrefix, Shape::kB),
};

}  // namespace vmsnap::compat::bhyve::tables
