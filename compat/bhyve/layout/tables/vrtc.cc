// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kItems[] = {
    u32("addr").note("index register"),
    i64("base_rtctime").note("seconds; the registers from sec on are the CMOS memory in order"),
    u8("sec"),
    u8("alarm_sec"),
    u8("min"),
    u8("alarm_min"),
    u8("hour"),
    u8("alarm_hour"),
    u8("day_of_week"),
    u8("day_of_month"),
    u8("month"),
    u8("year"),
    u8("reg_a"),
    u8("reg_b"),
    u8("reg_c"),
    u8("reg_d"),
    u8("nvram", 36),
    u8("century"),
    u8("nvram2", 77),
};

constexpr Layout kLayouts[] = {layout("vrtc", "A", "all", kItems)};

}  // namespace

constinit const std::span<const Layout> kVrtc = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
