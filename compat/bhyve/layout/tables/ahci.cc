// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kIoVector[] = {
    u64("iov_len"),
    gaddr("iov_base"),
};

constexpr Item kBlockRequest[] = {
    i32("br_iovcnt"),
    i64("br_offset").note("bytes"),
    i64("br_resid").note("bytes"),
    record("iov", kIoVector).times_field("br_iovcnt"),
};

constexpr Item kIoRequest[] = {
    gaddr("cfis"), u32("len"), u32("done"), i32("slot"), i32("more"), i32("readop"),
};

constexpr Item kBusy[] = {
    i32("index").note("in ioreq; -1 ends the list"),
    group(kBlockRequest).if_not_null("index"),
};

constexpr Item kBlockDevice[] = {
    u32("magic"),     i32("ischr"),   i32("isgeom"),
    i32("candelete"), i32("rdonly"),  i64("size").note("bytes"),
    i32("sectsz"),    i32("psectsz"), i32("psectoff"),
    i32("closing"),
};

constexpr Item kQueues[] = {
    record("ioreq", kIoRequest).times_field("ioqsz"),
    i32("free").until_minus_one().note("indices in ioreq"),
    record("busy", kBusy).until_minus_one(),
    record("blockif", kBlockDevice),
};

constexpr Item kDrive[] = {
    gaddr("cmd_lst"),
    gaddr("rfis"),
    bytes("ata_ident", 512).note("the block that IDENTIFY returns"),
    i32("atapi"),
    i32("reset"),
    i32("waitforclear"),
    i32("mult_sectors"),
    u8("xfermode"),
    u8("err_cfis", 20),
    u8("sense_key"),
    u8("asc"),
    u32("ccs"),
    u32("pending"),
    u32("clb"),
    u32("clbu"),
    u32("fb"),
    u32("fbu"),
    u32("ie"),
    u32("cmd"),
    u32("unused0"),
    u32("tfd"),
    u32("sig"),
    u32("ssts"),
    u32("sctl"),
    u32("serr"),
    u32("sact"),
    u32("ci"),
    u32("sntf"),
    u32("fbs"),
    i32("ioqsz").note("requests that can be under way"),
    group(kQueues).in_shape(Axis::kAhci, Shape::kA),
};

constexpr Item kPort[] = {
    flag_pointer("bctx"),
    i32("port").note("0 where no drive is attached"),
    group(kDrive).if_not_zero("bctx"),
};

constexpr Item kBody[] = {
    i32("ports"),   u32("cap"),
    u32("ghc"),     u32("is"),
    u32("pi"),      u32("vs"),
    u32("ccc_ctl"), u32("ccc_pts"),
    u32("em_loc"),  u32("em_ctl"),
    u32("cap2"),    u32("bohc"),
    u32("lintr"),   record("port", kPort).times(32),
};

constexpr Item kItems[] = {group(kPciPrefix), group(kBody)};

constexpr Layout kLayouts[] = {
    layout("ahci", "by axes", "all", kItems, "Also under the names ahci-hd and ahci-cd. PxIS is not saved."),
};

}  // namespace

constinit const std::span<const Layout> kAhci = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
