// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kPic[] = {
    boolean("ready"),
    i32("icw_num"),
    i32("rd_cmd_reg"),
    boolean("aeoi"),
    boolean("poll"),
    boolean("rotate"),
    boolean("sfn"),
    i32("irq_base"),
    u8("request"),
    u8("service"),
    u8("mask"),
    u8("smm"),
    i32("acnt", 8).note("how many hold each pin asserted"),
    i32("lowprio"),
    boolean("intr_raised"),
};

constexpr Item kItems[] = {
    record("pic", kPic).times(2),
    u8("elc", 2).note("edge/level control of the pins 0 to 7, 8 to 15"),
};

constexpr Layout kLayouts[] = {layout("vatpic", "A", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVatpic = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
