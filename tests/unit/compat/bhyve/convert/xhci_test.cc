// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr std::string_view kPath = "pci0/00:06.0";
constexpr std::uint64_t kNull = ~std::uint64_t{0};

Context with_devices(std::uint64_t count, Shape shape = Shape::kB) {
  Context context;
  context.usb_devices = count;
  context.set_shapes(shape);
  return context;
}

/// A controller after a reset with nothing on it.
ItemValues bare() {
  ItemValues items;
  items["rtsoff"] = 0xcc0;
  items["regsend"] = 0xd00;
  for (const char* pointer : {"cr_p", "dcbaa_p", "erstba_p", "erst_p"}) items[pointer] = kNull;
  for (int slot = 1; slot <= 64; ++slot) items["slot[" + std::to_string(slot) + "].map"] = 8;
  items["usb2_port_start"] = 5;
  items["usb3_port_start"] = 1;
  return items;
}

/// The same with a tablet on port 1, which the guest has not addressed.
ItemValues with_tablet() {
  ItemValues items = bare();
  ByteVector name = bytes_of({'t', 'a', 'b', 'l', 'e', 't'});
  name.resize(128);
  items["device[1].index"] = 1;
  items["device[1].name"] = name;
  items["port[1].portsc"] = 0x1203;
  items["port[1].portpmsc"] = 1;
  items["port[1].portli"] = 2;
  items["port[1].porthlpmc"] = 3;
  items["slot[1].map"] = 1;
  items["slot[1].dev_ctx"] = kNull;
  items["slot[1].hci_port"] = 1;
  return items;
}

/// The same in use: configured, a request on endpoint 1 and a transfer that waits on endpoint 3.
ItemValues in_use() {
  ItemValues items = with_tablet();
  items["slot[1].dev_ctx"] = 0x5000;
  items["slot[1].dev_slotstate"] = 4;
  items["slot[1].hci_address"] = 9;
  items["slot[1].ep[1].xfer"] = 0x801234568;
  items["slot[1].ep[1].ureq"] = 0x801234568;
  items["slot[1].ep[1].request"] = bytes_of({0x80, 6, 0, 1, 0, 0, 18, 0});
  items["slot[1].ep[3].xfer"] = 0x801234568;
  items["slot[1].ep[3].ndata"] = 1;
  items["slot[1].ep[3].tail"] = 1;
  items["slot[1].ep[3].block[0].buf"] = 0x6000;
  items["slot[1].ep[3].block[0].blen"] = 5;
  items["slot[1].ep[3].block[0].bdone"] = 1;
  items["slot[1].ep[3].block[0].ccs"] = 1;
  items["slot[1].ep[3].block[0].streamid"] = 2;
  items["slot[1].ep[3].block[0].trbnext"] = 0x7010;
  items["slot[1].tablet.report.buttons"] = 5;
  items["slot[1].tablet.report.x"] = 0x7fff;
  items["slot[1].tablet.report.y"] = 0xfffe;
  items["slot[1].tablet.report.z"] = 0xff;
  items["slot[1].tablet.newdata"] = 1;
  items["slot[1].tablet.idle"] = 4;
  items["slot[1].tablet.protocol"] = 1;
  items["slot[1].tablet.feature"] = 1;
  return items;
}

MappingRun run_of(const ItemValues& items, const Context& context) {
  return MappingRun("xhci", "by axes", context, items, Vendor::kIntel, std::string(kPath));
}

/// Without the maps of empty slots, which are always kept apart.
std::vector<std::string> without_empty_slots(std::vector<std::string> paths) {
  std::erase_if(paths,
                [](const std::string& path) { return path.ends_with("].map") && path != "slot[1].map"; });
  return paths;
}

TEST(Xhci, GivesEveryRegisterBack) {
  const std::pair<std::string_view, std::string_view> registers[] = {
      {"caplength", "caplength_hciversion"},
      {"hcsparams1", "hcsparams1"},
      {"hcsparams2", "hcsparams2"},
      {"hcsparams3", "hcsparams3"},
      {"hccparams1", "hccparams1"},
      {"dboff", "dboff"},
      {"hccparams2", "hccparams2"},
      {"usbcmd", "usbcmd"},
      {"usbsts", "usbsts"},
      {"pgsz", "pagesize"},
      {"dnctrl", "dnctrl"},
      {"config", "config"},
      {"mfindex", "mfindex"},
      {"iman", "interrupters[0].iman"},
      {"imod", "interrupters[0].imod"},
      {"erstsz", "interrupters[0].erstsz"},
      {"er_enq_idx", "interrupters[0].enqueue_index"},
      {"er_enq_seg", "interrupters[0].enqueue_segment"},
      {"er_events_cnt", "interrupters[0].pending_events"},
  };
  ItemValues items = bare();
  std::uint64_t next = 0x100;
  for (const auto& [item, field] : registers) items[std::string(item)] = ++next;
  items["event_pcs"] = 1;
  items["crcr"] = 0x3019;
  items["cr_p"] = 0x3010;
  items["dcbaap"] = items["dcbaa_p"] = 0x4000;
  items["erstba"] = items["erstba_p"] = 0x1040;
  items["erdp"] = 0x200a;
  items["er_deq_seg"] = 2;
  items["erst_p"] = 0x2000;
  MappingRun run = run_of(items, with_devices(0));
  run.memory.bytes[0x1041] = std::byte{0x20};
  run.memory.bytes[0x1040] = std::byte{0x01};  // below what is an address
  EXPECT_THAT(without_empty_slots(run.kept_after_both_ways()), ElementsAre("slot[1].map"));
  next = 0x100;
  for (const auto& [item, field] : registers) {
    EXPECT_EQ(run.field<std::uint32_t>(kPath, field), ++next) << field;
  }
  EXPECT_TRUE(run.field<bool>(kPath, "interrupters[0].producer_cycle_state"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "crcr"), 0x3019u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "dcbaap"), 0x4000u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "interrupters[0].erdp"), 0x200au);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "supported_protocols[0].major_revision"), 2);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "supported_protocols[0].first_port"), 5);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "supported_protocols[1].major_revision"), 3);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "supported_protocols[1].first_port"), 1);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "supported_protocols[1].port_count"), 4);
}

TEST(Xhci, KeepsASegmentTableApartThatLiesInNoMemory) {
  ItemValues items = bare();
  items["erstba"] = items["erstba_p"] = 0xfffffffffffff000;
  items["erst_p"] = 0x2000;
  MappingRun run = run_of(items, with_devices(0));
  EXPECT_THAT(run.kept_after_both_ways(), Contains("erst_p"));
}

TEST(Xhci, AssertsItsPinAsBhyveDoes) {
  for (const auto& [iman, usbcmd, msi, expected] :
       std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, bool>>{
           {3, 5, 0, true}, {1, 5, 0, false}, {2, 5, 0, false}, {3, 1, 0, false}, {3, 5, 1, false}}) {
    ItemValues items = bare();
    items["iman"] = iman;
    items["usbcmd"] = usbcmd;
    items["msi.enabled"] = msi;
    MappingRun run = run_of(items, with_devices(0));
    EXPECT_THAT(run.kept_after_both_ways(), Not(Contains("iman")));
    EXPECT_EQ(run.field<bool>(kPath, "pci.intx_asserted"), expected) << iman << usbcmd << msi;
  }
}

TEST(Xhci, GivesATabletInUseBack) {
  MappingRun run = run_of(in_use(), with_devices(1, Shape::kA));
  ItemValues a = in_use();
  a["ndevices"] = 1;
  MappingRun of_a = run_of(a, with_devices(1, Shape::kA));
  std::vector<std::string> kept = of_a.kept_after_both_ways();
  std::erase_if(kept, [](const std::string& path) {
    return path.find(".block[") != std::string::npos || path.find("].map") != std::string::npos;
  });
  EXPECT_THAT(kept, ElementsAre("slot[1].ep[1].xfer", "slot[1].ep[1].ureq", "slot[1].ep[1].ndata",
                                "slot[1].ep[1].head", "slot[1].ep[1].tail", "slot[1].ep[3].xfer",
                                "slot[1].ep[3].ndata", "slot[1].ep[3].head", "slot[1].ep[3].tail",
                                "slot[1].tablet.polling", "slot[1].tablet.prev_evt.sec",
                                "slot[1].tablet.prev_evt.usec"));
  // Of a block that waits, only what concerns bhyve.
  std::vector<std::string> of_block = run.kept_after_both_ways();
  std::erase_if(of_block,
                [](const std::string& path) { return !path.starts_with("slot[1].ep[3].block[0]."); });
  EXPECT_THAT(of_block, ElementsAre("slot[1].ep[3].block[0].processed", "slot[1].ep[3].block[0].hci_data"));

  EXPECT_EQ(run.field<std::uint8_t>(kPath, "ports[0].number"), 1);
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "ports[0].portsc"), 0x1203u);
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "ports[0].porthlpmc"), 3u);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "slots[0].id"), 1);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "slots[0].state"), 4);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "slots[0].port"), 1);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[0].device_context"), 0x5000u);
  EXPECT_EQ(run.machine().find(kPath)->count("slots[0].endpoints").value(), 2u);
  EXPECT_EQ(run.field<ByteVector>(kPath, "slots[0].endpoints[0].setup_packet"),
            bytes_of({0x80, 6, 0, 1, 0, 0, 18, 0}));
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "slots[0].endpoints[1].dci"), 3);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[0].endpoints[1].transfers[0].buffer"), 0x6000u);
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "slots[0].endpoints[1].transfers[0].length"), 6u);
  EXPECT_EQ(run.field<std::uint32_t>(kPath, "slots[0].endpoints[1].transfers[0].transferred"), 1u);
  EXPECT_TRUE(run.field<bool>(kPath, "slots[0].endpoints[1].transfers[0].cycle"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[0].endpoints[1].transfers[0].next_trb"), 0x7010u);
  EXPECT_EQ(run.field<std::string>(kPath, "devices[0].kind"), "tablet");
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "devices[0].address"), 9);
  EXPECT_TRUE(run.field<bool>(kPath, "devices[0].remote_wakeup"));
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "devices[0].pointer.idle"), 4);
  EXPECT_EQ(run.field<std::int32_t>(kPath, "devices[0].pointer.current.x"), 0x7fff);
  EXPECT_EQ(run.field<std::int32_t>(kPath, "devices[0].pointer.current.y"), -2);
  EXPECT_EQ(run.field<std::int32_t>(kPath, "devices[0].pointer.waiting[0].wheel"), -1);
  EXPECT_THAT(run.not_in_file(), Contains("devices[0].configuration"));
}

TEST(Xhci, KeepsTheRecordOfADisabledSlotApartAndItsDeviceInPlace) {
  ItemValues items = with_tablet();
  items["slot[1].tablet.report.buttons"] = 1;
  MappingRun run = run_of(items, with_devices(1));
  EXPECT_THAT(run.kept_after_both_ways(),
              IsSupersetOf({"slot[1].map", "slot[1].dev_ctx", "slot[1].dev_slotstate", "slot[1].hci_port",
                            "slot[1].tablet.report.buttons"}));
  EXPECT_EQ(run.machine().find(kPath)->count("slots").value(), 0u);
  EXPECT_EQ(run.field<std::uint8_t>(kPath, "devices[0].pointer.current.buttons"), 1);
  EXPECT_EQ(run.machine().find(kPath)->count("devices[0].pointer.waiting").value(), 0u);
}

TEST(Xhci, FollowsTheRingOfBlocksAroundItsEnd) {
  ItemValues items = in_use();
  items["slot[1].ep[3].head"] = 7;
  items["slot[1].ep[3].ndata"] = 2;
  items["slot[1].ep[3].block[7].trbnext"] = 0x100;
  items["slot[1].ep[3].block[0].trbnext"] = 0x110;
  MappingRun run = run_of(items, with_devices(1));
  EXPECT_THAT(run.kept_after_both_ways(), Contains("slot[1].ep[3].block[0].trbnext"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[0].endpoints[1].transfers[0].next_trb"), 0x100u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[0].endpoints[1].transfers[1].next_trb"), 0x110u);
}

TEST(Xhci, ReadsNothingFromPositionsOutsideOfTheRingOfBlocks) {
  for (const auto& [count, head] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {9, 0}, {0x7fffffff, 0}, {0xffffffff, 0}, {1, 8}, {1, 0x7fffffff}, {1, 0xffffffff}}) {
    ItemValues items = in_use();
    items["slot[1].ep[3].ndata"] = count;
    items["slot[1].ep[3].head"] = head;
    MappingRun run = run_of(items, with_devices(1));
    EXPECT_THAT(run.kept_after_both_ways(), Contains("slot[1].ep[3].block[0].buf")) << count << " " << head;
    EXPECT_EQ(run.machine().find(kPath)->count("slots[0].endpoints[1].transfers").value(), 0u);
  }
}

TEST(Xhci, TakesAStateThatDoesNotExistForDisabled) {
  for (const std::uint64_t state : {5u, 0x100u, 0x7fffffffu, 0xffffffffu}) {
    ItemValues items = in_use();
    items["slot[1].dev_slotstate"] = state;
    MappingRun run = run_of(items, with_devices(1));
    EXPECT_THAT(run.kept_after_both_ways(), Contains("slot[1].dev_slotstate")) << state;
    EXPECT_EQ(run.machine().find(kPath)->count("slots").value(), 0u) << state;
  }
}

TEST(Xhci, SurvivesSlotsThatShareADevice) {
  ItemValues items = in_use();
  items["slot[2].map"] = 1;
  items["slot[2].dev_ctx"] = kNull;
  items["slot[2].dev_slotstate"] = 1;
  items["slot[2].tablet.newdata"] = 1;
  MappingRun run = run_of(items, with_devices(1));
  EXPECT_THAT(run.kept_after_both_ways(), Not(IsEmpty()));
  EXPECT_EQ(run.machine().find(kPath)->count("slots").value(), 2u);
  EXPECT_EQ(run.machine().find(kPath)->count("devices[0].pointer.waiting").value(), 1u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "slots[1].device_context"), 0u);
}

TEST(Xhci, KeepsWhatLiesBehindTheNameOfADeviceApart) {
  ItemValues items = with_tablet();
  ByteVector name = bytes_of({'t', 'a', 'b', 'l', 'e', 't', 0, 'x'});
  name.resize(128);
  items["device[1].name"] = name;
  MappingRun run = run_of(items, with_devices(1));
  EXPECT_THAT(run.kept_after_both_ways(), Contains("device[1].name"));
  EXPECT_EQ(run.field<std::string>(kPath, "devices[0].kind"), "tablet");
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
