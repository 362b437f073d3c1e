// SPDX-License-Identifier: BSD-2-Clause
// Offsets are those of the reference, not of the layouts. The prefix of a PCI device has 452 bytes.
#include "value_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kNull = ~std::uint64_t{0};

SampleChunk bridge() {
  return {"hostbridge", "by axes", {{"config_space", config_space(0x1275)}}, {}};
}

/// With a BAR at that address, in both places that tell of it.
ItemValues bar(int index, int type, std::uint64_t size, std::uint64_t address) {
  ByteVector config = config_space(0x1275);
  store_le<std::uint32_t>(config, static_cast<std::size_t>(0x10 + 4 * index),
                          static_cast<std::uint32_t>(address) | (type == 1 ? 1 : 0));
  return {{"config_space", config},
          {fmt::format("bar[{}].type", index), type},
          {fmt::format("bar[{}].size", index), size},
          {fmt::format("bar[{}].addr", index), address}};
}

TEST(PciValues, HaveAVendorThatBhyveEmulates) {
  EXPECT_THAT(odd(bridge()), IsEmpty());
  EXPECT_THAT(odd(bridge(), {{"config_space", config_space(0x1234)}}),
              ElementsAre("56 config_space suspicious"));
}

TEST(PciValues, OfABarAreAlignedAndReadAsTheyAre) {
  EXPECT_THAT(odd(bridge(), bar(1, 2, 0x1000, 0xc0001000)), IsEmpty());
  EXPECT_THAT(odd(bridge(), bar(0, 1, 0x80, 0x2080)), IsEmpty());
  EXPECT_THAT(odd(bridge(), {{"bar[1].type", 6}}), ElementsAre("332 bar[1].type suspicious"));
  EXPECT_THAT(odd(bridge(), bar(1, 2, 0x1100, 0xc0001000)), ElementsAre("336 bar[1].size suspicious"));
  EXPECT_THAT(odd(bridge(), bar(1, 2, 0x2000, 0xc0001000)), ElementsAre("344 bar[1].addr suspicious"));
  ItemValues elsewhere = bar(1, 2, 0x1000, 0xc0001000);
  elsewhere["bar[1].addr"] = 0xd0001000u;
  EXPECT_THAT(odd(bridge(), elsewhere), ElementsAre("76 config_space suspicious"));
}

TEST(PciValues, OfABarAgreeWithWhatTheCommandRegisterSwitchesOn) {
  EXPECT_THAT(odd(bridge(), bar(0, 1, 0x80, 0x10000)), ElementsAre("324 bar[0].addr suspicious"));
  EXPECT_THAT(odd(bridge(), bar(0, 2, 0x1000, 0x1000)), ElementsAre("324 bar[0].addr suspicious"));
  ItemValues off = bar(0, 2, 0x1000, 0x1000);
  ByteVector config = std::get<ByteVector>(off["config_space"]);
  store_le<std::uint16_t>(config, 4, 1);
  off["config_space"] = config;
  EXPECT_THAT(odd(bridge(), off), IsEmpty());
}

TEST(PciValues, OfMessagesAreWithinWhatThereIs) {
  ItemValues msix = bar(1, 2, 0x2000, 0xc0002000);
  msix["msix.table_count"] = 2;
  msix["msix.table_bar"] = 1;
  msix["msix.table_offset"] = 0x1fe0;
  EXPECT_THAT(odd(bridge(), msix), IsEmpty());
  msix["msix.table_offset"] = 0x1fe1;
  EXPECT_THAT(odd(bridge(), msix), ElementsAre("36 msix.table_offset suspicious"));
  msix["msix.table_bar"] = 6;
  EXPECT_THAT(odd(bridge(), msix), ElementsAre("28 msix.table_bar suspicious"));
  EXPECT_THAT(odd(bridge(), {{"msi.maxmsgnum", 33}}), ElementsAre("20 msi.maxmsgnum suspicious"));
}

TEST(PciValues, OfMessagesAgreeWithTheCapability) {
  ItemValues msix = bar(1, 2, 0x2000, 0xc0002000);
  ByteVector config = std::get<ByteVector>(msix["config_space"]);
  store_le<std::uint8_t>(config, 0x34, 0x70);
  store_le<std::uint32_t>(config, 0x70, 0x11 | 1u << 16);
  msix["config_space"] = config;
  msix["msix.table_bar"] = 1;
  msix["msix.table_count"] = 2;
  EXPECT_THAT(odd(bridge(), msix), IsEmpty());
  msix["msix.table_count"] = 3;
  EXPECT_THAT(odd(bridge(), msix), ElementsAre("40 msix.table_count suspicious"));
}

/// A queue of 128 at 1 MiB that is at rest after 5 requests.
SampleChunk disk() {
  ByteVector ring(8192);
  store_le<std::uint16_t>(ring, 2048 + 2, 7);
  store_le<std::uint16_t>(ring, 4096 + 2, 5);
  return {"virtio-blk",
          "by axes",
          {{"config_space", config_space(0x1af4)},
           {"vs_status", 7},
           {"vc_nvq", 1},
           {"vc_cfgsize", 60},
           {"vc_hv_caps", 0x244},
           {"vs_negotiated_caps", 0x40},
           {"queue[0].vq_qsize", 128},
           {"queue[0].vq_flags", 1},
           {"queue[0].vq_last_avail", 5},
           {"queue[0].vq_next_used", 5},
           {"queue[0].vq_pfn", 0x100},
           {"queue[0].desc_ring", 0x100000},
           {"queue[0].avail_ring", 0x100800},
           {"queue[0].used_ring", 0x101000},
           {"queue[0].ring", ring}},
          {}};
}

TEST(VirtioValues, ThatBhyveComparesAreItsOwn) {
  EXPECT_THAT(odd(disk()), IsEmpty());
  EXPECT_THAT(odd(disk(), {{"vc_cfgsize", 59}}), ElementsAre("472 vc_cfgsize refused"));
  EXPECT_THAT(odd(disk(), {{"vc_nvq", 0}}), ElementsAre("468 vc_nvq refused"));
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_num", 1}}), ElementsAre("490 queue[0].vq_num refused"));
  // Nothing is there to be compared with where the ring of another size would be.
  const ItemValues unused = {{"queue[0].vq_flags", 0}};
  ItemValues other = unused;
  other["queue[0].vq_qsize"] = 256;
  EXPECT_THAT(odd(disk(), unused), IsEmpty());
  EXPECT_THAT(odd(disk(), other), ElementsAre("488 queue[0].vq_qsize refused"));
  other["queue[0].vq_qsize"] = 100;
  EXPECT_THAT(odd(disk(), other), ElementsAre("488 queue[0].vq_qsize refused"));
}

TEST(VirtioValues, OfTheDeviceAreOnesThatADriverLeaves) {
  EXPECT_THAT(odd(disk(), {{"vs_status", 0x17}}), ElementsAre("464 vs_status suspicious"));
  EXPECT_THAT(odd(disk(), {{"vs_isr", 4}}), ElementsAre("465 vs_isr suspicious"));
  EXPECT_THAT(odd(disk(), {{"vs_curq", -1}}), ElementsAre("460 vs_curq suspicious"));
  EXPECT_THAT(odd(disk(), {{"vs_negotiated_caps", 1}}), ElementsAre("456 vs_negotiated_caps suspicious"));
}

TEST(VirtioValues, OfVectorsAreOnesThatTheDeviceHas) {
  ItemValues msix = bar(1, 2, 0x2000, 0xc0002000);
  msix["config_space"] = [] {
    ByteVector config = config_space(0x1af4);
    store_le<std::uint32_t>(config, 0x14, 0xc0002000);
    return config;
  }();
  msix["msix.table_bar"] = 1;
  msix["msix.table_count"] = 2;
  msix["queue[0].vq_msix_idx"] = 1;
  msix["vs_msix_cfg_idx"] = 0xffff;
  EXPECT_THAT(odd(disk(), msix), IsEmpty());
  msix["queue[0].vq_msix_idx"] = 2;
  EXPECT_THAT(odd(disk(), msix), ElementsAre("532 queue[0].vq_msix_idx suspicious"));
  msix["vs_msix_cfg_idx"] = 3;
  EXPECT_THAT(odd(disk(), msix),
              ElementsAre("498 vs_msix_cfg_idx suspicious", "532 queue[0].vq_msix_idx suspicious"));
}

TEST(VirtioValues, OfARingLieInMemoryInOnePiece) {
  EXPECT_THAT(odd(disk(), {{"queue[0].desc_ring", kNull}}),
              testing::Contains("506 queue[0].desc_ring refused"));
  EXPECT_THAT(odd(disk(), {{"queue[0].avail_ring", 0x100900}}),
              ElementsAre("514 queue[0].avail_ring suspicious"));
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_pfn", 0x101}}), ElementsAre("502 queue[0].vq_pfn suspicious"));
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_flags", 5}}), ElementsAre("492 queue[0].vq_flags suspicious"));
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_flags", 3}}), ElementsAre("492 queue[0].vq_flags suspicious"));
  // The last page of 8 MiB, and beyond.
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_pfn", 0x7ff},
                           {"queue[0].desc_ring", 0x7ff000},
                           {"queue[0].avail_ring", 0x7ff800},
                           {"queue[0].used_ring", 0x800000}}),
              ElementsAre("522 queue[0].used_ring crash", "506 queue[0].desc_ring crash"));
}

TEST(VirtioValues, OfIndicesAreNoFurtherApartThanTheRingIsLong) {
  EXPECT_THAT(odd(disk(), {{"queue[0].vq_last_avail", 200}, {"queue[0].vq_next_used", 5}}),
              ElementsAre("494 queue[0].vq_last_avail suspicious", "496 queue[0].vq_next_used suspicious"));
}

TEST(VirtioValues, OfANetworkHaveAHeaderOfAKnownSize) {
  const SampleChunk net{"virtio-net",
                        "by axes",
                        {{"config_space", config_space(0x1af4)},
                         {"vc_nvq", 2},
                         {"vc_cfgsize", 12},
                         {"queue[0].vq_qsize", 1024},
                         {"queue[1].vq_qsize", 1024},
                         {"queue[1].vq_num", 1},
                         {"vhdrlen", 12}},
                        {}};
  EXPECT_THAT(odd(net), IsEmpty());
  EXPECT_THAT(odd(net, {{"vhdrlen", 11}}), ElementsAre("549 vhdrlen suspicious"));
  EXPECT_THAT(odd(net, {{"be_vhdrlen", 8}}), ElementsAre("557 be_vhdrlen suspicious"));
}

SampleChunk card() {
  return {"e1000",
          "by axes",
          {{"config_space", config_space(0x8086)},
           {"tx_enabled", 1},
           {"tdba", 0x100000},
           {"TDBAL", 0x100000},
           {"TDLEN", 128},
           {"TDT", 7},
           {"txdesc", 0x100000},
           {"rxdesc", kNull}},
          {}};
}

TEST(E1000Values, OfARingInUseAreWithinIt) {
  EXPECT_THAT(odd(card()), IsEmpty());
  EXPECT_THAT(odd(card(), {{"TDT", 8}}), ElementsAre("576 TDT suspicious"));
  EXPECT_THAT(odd(card(), {{"TDH", 8}}), ElementsAre("572 TDH suspicious"));
  EXPECT_THAT(odd(card(), {{"TDLEN", 136}}), ElementsAre("568 TDLEN suspicious"));
  EXPECT_THAT(odd(card(), {{"tdba", 0x100008}, {"TDBAL", 0x100008}}), ElementsAre("552 tdba suspicious"));
  EXPECT_THAT(odd(card(), {{"TDBAL", 0x200000}}), ElementsAre("552 tdba suspicious"));
  EXPECT_THAT(odd(card(), {{"tdba", 0x7fffc0}, {"TDBAL", 0x7fffc0}}), ElementsAre("552 tdba crash"));
  EXPECT_THAT(odd(card(), {{"txdesc", kNull}}), ElementsAre("590 txdesc crash"));
}

TEST(E1000Values, OfARingThatIsSwitchedOffMayBeAnything) {
  EXPECT_THAT(odd(card(), {{"RDLEN", 128}, {"RDH", 99}}), IsEmpty());
  EXPECT_THAT(odd(card(), {{"RDLEN", 128}, {"RDH", 99}, {"rx_enabled", 1}, {"rxdesc", 0}}),
              ElementsAre("1890 RDH suspicious"));
}

SampleChunk drives() {
  return {"ahci",
          "by axes",
          {{"config_space", config_space(0x8086)},
           {"ports", 6},
           {"cap", 0xc0341f05},
           {"pi", 1},
           {"port[0].bctx", 1},
           {"port[0].cmd_lst", 0x1000},
           {"port[0].clb", 0x1000},
           {"port[0].rfis", 0x2000},
           {"port[0].fb", 0x2000},
           {"port[0].cmd", 0x11},
           {"port[0].ci", 6},
           {"port[0].pending", 2},
           {"port[0].ioqsz", 135}},
          {}};
}

TEST(AhciValues, OfTheControllerAgreeOnThePorts) {
  EXPECT_THAT(odd(drives()), IsEmpty());
  EXPECT_THAT(odd(drives(), {{"ports", 33}}), ElementsAre("452 ports crash"));
  EXPECT_THAT(odd(drives(), {{"cap", 0xc0341f1f}}), ElementsAre("456 cap suspicious"));
  EXPECT_THAT(odd(drives(), {{"pi", 2}}), ElementsAre("504 port[0].bctx suspicious"));
}

TEST(AhciValues, OfAPortAreOnesThatItCanHave) {
  EXPECT_THAT(odd(drives(), {{"port[0].port", 1}}), ElementsAre("512 port[0].port suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].atapi", 2}}), ElementsAre("1044 port[0].atapi suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].ccs", 32}}), ElementsAre("1083 port[0].ccs suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].pending", 8}}), ElementsAre("1087 port[0].pending suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].clb", 0x1100}}),
              ElementsAre("1091 port[0].clb suspicious", "516 port[0].cmd_lst suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].fb", 0x3000}}), ElementsAre("524 port[0].rfis suspicious"));
  EXPECT_THAT(odd(drives(), {{"port[0].cmd_lst", 0x7ffe00}, {"port[0].cmd", 0}}),
              ElementsAre("516 port[0].cmd_lst crash"));
}

TEST(AhciValues, OfListsNameRequestsThatThereAre) {
  SampleChunk old = drives();
  old.context.ahci = Shape::kA;
  old.items["port[0].ioqsz"] = 2;
  old.items["port[0].busy[0].index"] = kNull;
  EXPECT_THAT(odd(old, {{"port[0].free", array_of(4, {0, 1, 0xffffffff})}}), IsEmpty());
  // Two requests of 28 bytes each lie before the list.
  EXPECT_THAT(odd(old, {{"port[0].free", array_of(4, {0, 2, 0xffffffff})}}),
              ElementsAre("1219 port[0].free[1] crash"));
}

SampleChunk usb() {
  SampleChunk chunk{"xhci",
                    "by axes",
                    {{"config_space", config_space(0x8086)},
                     {"device[1].index", 1},
                     {"device[1].name",
                      [] {
                        ByteVector name(128);
                        std::memcpy(name.data(), "tablet", 6);
                        return name;
                      }()},
                     {"slot[1].map", 1},
                     {"slot[1].ep[1].xfer", 1}},
                    {}};
  chunk.context.usb_devices = 1;
  for (int slot = 2; slot <= 64; ++slot) chunk.items[fmt::format("slot[{}].map", slot)] = 8;
  return chunk;
}

TEST(XhciValues, OfTheControllerPointIntoMemory) {
  EXPECT_THAT(odd(usb(), {{"crcr", 0x1001}, {"dcbaap", 0x2000}, {"erstba", 0x3000}, {"erdp", 0x4008}}),
              IsEmpty());
  EXPECT_THAT(odd(usb(), {{"crcr", 0x800001}}), ElementsAre("504 crcr suspicious"));
  EXPECT_THAT(odd(usb(), {{"dcbaap", 0x800000}}), ElementsAre("512 dcbaap suspicious"));
  EXPECT_THAT(odd(usb(), {{"erstba", 0x800000}}), ElementsAre("560 erstba suspicious"));
  EXPECT_THAT(odd(usb(), {{"cr_p", 0x800000}}), ElementsAre("524 cr_p crash"));
  EXPECT_THAT(odd(usb(), {{"config", 65}}), ElementsAre("520 config suspicious"));
  EXPECT_THAT(odd(usb(), {{"er_enq_idx", 4096}}), ElementsAre("596 er_enq_idx crash"));
  EXPECT_THAT(odd(usb(), {{"er_enq_seg", 1}}), ElementsAre("600 er_enq_seg suspicious"));
}

TEST(XhciValues, OfSlotsAndEndpointsAreWithinWhatThereIs) {
  EXPECT_THAT(odd(usb()), IsEmpty());
  EXPECT_THAT(odd(usb(), {{"slot[1].ep[1].ndata", 9}}), ElementsAre("1140 slot[1].ep[1].ndata crash"));
  EXPECT_THAT(odd(usb(), {{"slot[1].ep[1].head", 8}}), ElementsAre("1144 slot[1].ep[1].head crash"));
  EXPECT_THAT(odd(usb(), {{"slot[1].ep[1].tail", -1}}), ElementsAre("1148 slot[1].ep[1].tail crash"));
  EXPECT_THAT(odd(usb(), {{"slot[1].ep[1].block[0].trbnext", 0x800010}}),
              ElementsAre("816 slot[1].ep[1].block[0].trbnext suspicious"));
  // 30 endpoints without transfers follow.
  EXPECT_THAT(odd(usb(), {{"slot[1].dev_slotstate", 5}}),
              ElementsAre("1392 slot[1].dev_slotstate suspicious"));
  EXPECT_THAT(odd(usb(), {{"slot[1].hci_address", 128}}), ElementsAre("1429 slot[1].hci_address suspicious"));
  EXPECT_THAT(odd(usb(), {{"slot[2].map", 9}}), ElementsAre("1437 slot[2].map crash"));
}

TEST(LpcValues, OfAReceiveFifoAreWithinIt) {
  SampleChunk lpc{
      "lpc", "by axes", {{"config_space", config_space(0x8086)}, {"uart[0].rxfifo.size", 16}}, {}};
  lpc.context.uarts = 1;
  const auto with = [&](int read, int write, int count) {
    return odd(
        lpc,
        {{"uart[0].rxfifo.rindex", read}, {"uart[0].rxfifo.windex", write}, {"uart[0].rxfifo.num", count}});
  };
  EXPECT_THAT(with(14, 2, 4), IsEmpty());
  EXPECT_THAT(with(16, 0, 0), ElementsAre("462 uart[0].rxfifo.rindex crash"));
  EXPECT_THAT(with(0, -1, 0), ElementsAre("466 uart[0].rxfifo.windex crash"));
  EXPECT_THAT(with(0, 0, 17), ElementsAre("470 uart[0].rxfifo.num crash"));
  EXPECT_THAT(with(0, 3, 2), ElementsAre("470 uart[0].rxfifo.num suspicious"));
  EXPECT_THAT(odd(lpc, {{"uart[0].rxfifo.size", 17}}), ElementsAre("474 uart[0].rxfifo.size crash"));
}

TEST(KeyboardValues, OfTheQueueAreWithinIt) {
  const SampleChunk keyboard{"atkbdc", "A", {{"ctrlbyte", 0x8045}, {"kbd.irq", 1}, {"aux.irq", 12}}, {}};
  EXPECT_THAT(odd(keyboard), IsEmpty());
  EXPECT_THAT(odd(keyboard, {{"kbd.brd", 14}, {"kbd.bwr", 1}, {"kbd.bcnt", 2}}), IsEmpty());
  EXPECT_THAT(odd(keyboard, {{"kbd.brd", 15}}), ElementsAre("98 kbd.brd crash"));
  EXPECT_THAT(odd(keyboard, {{"kbd_raw.bwr", -1}}), ElementsAre("70 kbd_raw.bwr crash"));
  EXPECT_THAT(odd(keyboard, {{"kbd.bcnt", 16}}), ElementsAre("106 kbd.bcnt crash"));
  EXPECT_THAT(odd(keyboard, {{"kbd.bcnt", 3}}), ElementsAre("106 kbd.bcnt suspicious"));
  EXPECT_THAT(odd(keyboard, {{"aux.irq", 16}}), ElementsAre("111 aux.irq suspicious"));
  EXPECT_THAT(odd(keyboard, {{"ctrlbyte", 0x45}}), ElementsAre("38 ctrlbyte suspicious"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
