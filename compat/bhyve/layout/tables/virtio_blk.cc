// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"
#include "bhyve/layout/tables/virtio.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kTail[] = {
    u64("cfg.capacity").note("in sectors of 512 bytes"),
    u32("cfg.size_max"),
    u32("cfg.seg_max"),
    u16("cfg.cylinders"),
    u8("cfg.heads"),
    u8("cfg.sectors"),
    u32("cfg.blk_size"),
    u8("cfg.physical_block_exp"),
    u8("cfg.alignment_offset"),
    u16("cfg.min_io_size"),
    u32("cfg.opt_io_size"),
    u8("cfg.writeback"),
    u8("cfg.unused0"),
    u16("cfg.num_queues"),
    u32("cfg.max_discard_sectors"),
    u32("cfg.max_discard_seg"),
    u32("cfg.discard_sector_alignment"),
    u32("cfg.max_write_zeroes_sectors"),
    u32("cfg.max_write_zeroes_seg"),
    u8("cfg.write_zeroes_may_unmap"),
    u8("cfg.unused1", 3),
    u8("ident", 21).note("serial number, padded with NUL"),
};

constexpr Item kItems[] = {group(kPciPrefix), group(kVirtio, "Virtio device"), group(kTail)};

constexpr Layout kLayouts[] = {layout("virtio-blk", "by axes", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVirtioBlk = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
