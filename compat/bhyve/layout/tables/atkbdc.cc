// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/tables.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kKeyboardStructure[] = {
    boolean("irq_active"),
    padding("padding_1", 3),
    i32("irq"),
    u8("buffer", 15),
    padding("padding_23", 1),
    i32("brd"),
    i32("bwr"),
    i32("bcnt"),
};

constexpr Item kItems[] = {
    u8("status"),
    u8("outport"),
    u8("ram", 32),
    u32("curcmd"),
    u32("ctrlbyte").note("0, or 0x8000 + the reply that waits to be read"),
    record("kbd_raw", kKeyboardStructure).note("the structure whose members follow again"),
    boolean("kbd.irq_active"),
    i32("kbd.irq"),
    u8("kbd.buffer", 15),
    i32("kbd.brd"),
    i32("kbd.bwr"),
    i32("kbd.bcnt"),
    boolean("aux.irq_active"),
    i32("aux.irq"),
    boolean("ps2kbd.enabled"),
    u8("ps2kbd.curcmd"),
    u8("ps2mouse.status"),
    u8("ps2mouse.resolution"),
    u8("ps2mouse.sampling_rate"),
    i32("ps2mouse.ctrlenable"),
    u8("ps2mouse.curcmd"),
    i32("ps2mouse.cur_x"),
    i32("ps2mouse.cur_y"),
    i32("ps2mouse.delta_x"),
    i32("ps2mouse.delta_y"),
};

constexpr Layout kLayouts[] = {
    layout("atkbdc", "A", "all", kItems, "The queues of keyboard and mouse are not saved."),
};

}  // namespace

constinit const std::span<const Layout> kAtkbdc = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
