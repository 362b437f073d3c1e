// SPDX-License-Identifier: BSD-2-Clause
// What the chunks of all virtio devices have in common, after the PCI prefix.
#pragma once

#include "bhyve/layout/tables/items.h"

namespace vmsnap::compat::bhyve::tables {

/// Bytes of the memory of a legacy virtio ring of so many entries: from the descriptors up to the end of the
/// page in which the used ring ends.
[[nodiscard]] std::uint64_t ring_size(std::uint16_t entries);
/// The same for the queue of the scope.
[[nodiscard]] Result<std::uint64_t> ring_bytes(const Scope& scope);

inline constexpr Item kQueueHead[] = {
    u16("vq_qsize").compared("entries in the ring"),
    u16("vq_num").compared("index of the queue"),
    u16("vq_flags").note("bit 0: the ring is allocated"),
    u16("vq_last_avail"),
    u16("vq_next_used"),
    u16("vq_save_used"),
    u16("vq_msix_idx"),
    u32("vq_pfn"),
};

inline constexpr Item kRing[] = {
    gaddr("desc_ring"),
    gaddr("avail_ring"),
    gaddr("used_ring"),
    bytes("ring", 1)
        .times(ring_bytes, "align4096(16 x vq_qsize + 2 x (3 + vq_qsize)) + align4096(6 + 8 x vq_qsize)")
        .note("guest memory from desc_ring on, written back when bhyve restores"),
};

inline constexpr Item kQueueA[] = {
    group(kQueueHead),
    group(kRing),
};

inline constexpr Item kQueueB[] = {
    group(kQueueHead),
    group(kRing).if_bits("vq_flags", 1),
};

inline constexpr Item kVirtio[] = {
    i32("vs_flags"),
    u32("vs_negotiated_caps"),
    i32("vs_curq"),
    u8("vs_status"),
    u8("vs_isr"),
    u16("vs_msix_cfg_idx"),
    i32("vc_nvq").compared("number of queues"),
    u64("vc_cfgsize").compared("bytes of the device's own configuration space"),
    u64("vc_hv_caps").compared("features offered"),
    record("queue", kQueueA).times_field("vc_nvq").in_shape(Axis::kRings, Shape::kA),
    record("queue", kQueueB).times_field("vc_nvq").in_shape(Axis::kRings, Shape::kB),
};

}  // namespace vmsnap::compat::bhyve::tables
