// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/items.h"
#include "bhyve/layout/tables/pci_prefix.h"
#include "bhyve/layout/tables/tables.h"
#include "bhyve/layout/usb_devices.h"

namespace vmsnap::compat::bhyve::tables {
namespace {

constexpr Item kDevice[] = {
    i32("index").compared("position of the device on the controller, from 1 on"),
    bytes("name", kUsbNameSize).compared("ends with a NUL"),
};

constexpr Item kPort[] = {
    u32("portsc"),
    u32("portpmsc"),
    u32("portli"),
    u32("porthlpmc"),
};

constexpr Item kTransferBlock[] = {
    gaddr_or_null("buf"),
    i32("blen"),
    i32("bdone"),
    u32("processed"),
    item_of("hci_data", Type::kHostPointer, 1).meaningless("host pointer"),
    i32("ccs"),
    u32("streamid"),
    u64("trbnext"),
};

constexpr Item kTransfer[] = {
    record("block", kTransferBlock).times(8),
    flag_pointer("ureq"),
    bytes("request", 8).if_not_zero("ureq").note("USB device request"),
    i32("ndata"),
    i32("head"),
    i32("tail"),
};

constexpr Item kEndpoint[] = {
    flag_pointer("xfer"),
    group(kTransfer).if_not_zero("xfer"),
};

constexpr Item kEndpoints[] = {record("ep", kEndpoint).times(31).from_index(1)};

constexpr Item kTablet[] = {
    u8("report.buttons"), i16("report.x"),
    i16("report.y"),      i8("report.z"),
    i32("newdata"),       u8("idle"),
    u8("protocol"),       u8("feature"),
    i32("polling"),       i64("prev_evt.sec").note("time of the host at the last event"),
    i64("prev_evt.usec"),
};

constexpr Item kSlotDevice[] = {
    gaddr_or_null("dev_ctx"),
    group(kEndpoints).if_not_null("dev_ctx"),
    i32("dev_slotstate"),
    record("tablet", kTablet).when(slot_has_tablet, "the slot's device is a tablet"),
    i32("hci_address"),
    i32("hci_port"),
};

constexpr Item kSlot[] = {
    i32("map").note("index of the slot's device; of an empty slot, the index of an unused position"),
    group(kSlotDevice).when(slot_has_device, "map is the index of an attached device"),
};

constexpr Item kEndA[] = {i32("ndevices")};

constexpr Item kBody[] = {
    u32("caplength"),
    u32("hcsparams1"),
    u32("hcsparams2"),
    u32("hcsparams3"),
    u32("hccparams1"),
    u32("dboff"),
    u32("rtsoff"),
    u32("hccparams2"),
    u32("regsend"),
    u32("usbcmd"),
    u32("usbsts"),
    u32("pgsz"),
    u32("dnctrl"),
    u64("crcr"),
    u64("dcbaap"),
    u32("config"),
    gaddr_or_null("cr_p"),
    gaddr_or_null("dcbaa_p"),
    u32("mfindex"),
    u32("iman"),
    u32("imod"),
    u32("erstsz"),
    u32("rsvd"),
    u64("erstba"),
    u64("erdp"),
    gaddr_or_null("erstba_p"),
    gaddr_or_null("erst_p"),
    i32("er_deq_seg"),
    i32("er_enq_idx"),
    i32("er_enq_seg"),
    u32("er_events_cnt"),
    u32("event_pcs"),
    record("device", kDevice).times(ContextValue::kUsbDevices).from_index(1),
    record("port", kPort).times(ContextValue::kUsbDevices).from_index(1),
    record("slot", kSlot).times(64).from_index(1),
    group(kEndA).in_shape(Axis::kXhci, Shape::kA),
    i32("usb2_port_start"),
    i32("usb3_port_start"),
};

constexpr Item kItems[] = {group(kPciPrefix), group(kBody)};

constexpr Layout kLayouts[] = {
    layout("xhci", "by axes", "all", kItems,
           "The number of attached devices is stored nowhere; device[i] and port[i] count them in order."),
};

}  // namespace

constinit const std::span<const Layout> kXhci = kLayouts;

}  // namespace vmsnap::compat::bhyve::tables
