// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/pci_places.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;

std::vector<std::string> paths(const std::vector<NamedDevice>& devices) {
  std::vector<std::string> paths;
  for (const PciPlace& place : assign_places(devices)) paths.push_back(place.path);
  return paths;
}

TEST(PciPlaces, AreThoseOfTheNames) {
  EXPECT_THAT(paths({{"hostbridge@pci.0.0.0", "hostbridge"},
                     {"virtio-net@pci.0.31.7", "virtio-net"},
                     {"virtio-blk-pci-255-4-0", "virtio-blk"}}),
              ElementsAre("pci0/00:00.0", "pci0/00:1f.7", "pci0/ff:04.0"));
}

TEST(PciPlaces, AreTheFirstFreeSlotsFromOneOnWhereTheNamesSayNone) {
  const std::vector<NamedDevice> devices = {
      {"virtio-net", "virtio-net"}, {"lpc@pci.0.2.1", "lpc"}, {"ahci-hd", "ahci"}, {"e1000", "e1000"}};
  EXPECT_THAT(paths(devices), ElementsAre("pci0/00:01.0", "pci0/00:02.1", "pci0/00:03.0", "pci0/00:04.0"));
  const auto places = assign_places(devices);
  EXPECT_TRUE(places[0].is_invented);
  EXPECT_FALSE(places[1].is_invented);
}

TEST(PciPlaces, AreThoseThatAreSaidWhereTheNamesSayNone) {
  const std::vector<NamedDevice> devices = {{"virtio-net", "virtio-net", PciAddress{0, 5, 1}},
                                            {"lpc@pci.0.2.1", "lpc", PciAddress{0, 3, 0}},
                                            {"e1000", "e1000"}};
  EXPECT_THAT(paths(devices), ElementsAre("pci0/00:05.1", "pci0/00:02.1", "pci0/00:01.0"));
  EXPECT_FALSE(assign_places(devices)[0].is_invented);
}

TEST(PciPlaces, AreTheFirstFreeSlotsWhenWhatIsSaidIsTaken) {
  EXPECT_THAT(paths({{"virtio-net", "virtio-net", PciAddress{0, 2, 0}},
                     {"virtio-blk", "virtio-blk", PciAddress{0, 2, 0}},
                     {"lpc", "lpc", PciAddress{0, 31, 0}},
                     {"xhci@pci.0.31.0", "xhci"}}),
              ElementsAre("pci0/00:02.0", "pci0/00:01.0", "pci0/00:03.0", "pci0/00:1f.0"));
}

TEST(PciPlaces, AreReadAsBhyveWritesThem) {
  const std::vector<std::string> texts = {"virtio-blk=4", "lpc=31:7", "ahci-hd=255:0:0"};
  const auto places = parse_places(texts);
  ASSERT_TRUE(places);
  ASSERT_EQ(places->size(), 3U);
  EXPECT_EQ((*places)[0].name, "virtio-blk");
  EXPECT_EQ((*places)[0].address, (PciAddress{0, 4, 0}));
  EXPECT_EQ((*places)[1].address, (PciAddress{0, 31, 7}));
  EXPECT_EQ((*places)[2].address, (PciAddress{255, 0, 0}));
}

TEST(PciPlaces, AreRefusedWhenTheyAreNoneOrThereTwice) {
  for (const char* text : {"virtio-blk", "=4", "lpc=", "lpc=32", "lpc=1:8", "lpc=256:1:0", "lpc=0:0:0:0",
                           "lpc=1:", "lpc=:1", "lpc=0x4", "lpc=-1", "lpc=1:2 ", "lpc= 1", "lpc=1.2"}) {
    const auto places = parse_places(std::vector<std::string>{text});
    ASSERT_FALSE(places) << text;
    EXPECT_EQ(places.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(places.error().message(), testing::HasSubstr("NAME=SLOT")) << text;
  }
  for (const auto& texts : {std::vector<std::string>{"lpc=1", "lpc=2"}, {"lpc=1", "e1000=0:1:0"}}) {
    const auto places = parse_places(texts);
    ASSERT_FALSE(places);
    EXPECT_THAT(places.error().message(), testing::HasSubstr("named before"));
  }
}

TEST(PciPlaces, AreNoneForWhatIsNoPciFunctionOrNotKnown) {
  EXPECT_THAT(paths({{"atkbdc", "atkbdc"}, {"nvme@pci.0.3.0", ""}, {"nvme", ""}, {"fbuf", "fbuf"}}),
              ElementsAre("", "", "", "pci0/00:01.0"));
}

TEST(PciPlaces, AreTheFirstDevicesWhenTwoNameTheSame) {
  EXPECT_THAT(paths({{"virtio-net@pci.0.3.0", "virtio-net"},
                     {"virtio-blk@pci.0.3.0", "virtio-blk"},
                     {"virtio-blk@pci.0.3.1", "virtio-blk"}}),
              ElementsAre("pci0/00:03.0", "", "pci0/00:03.1"));
}

TEST(PciPlaces, GoOnOnTheNextBusAndEndWithTheLast) {
  const std::vector<NamedDevice> devices(256 * 32, {"e1000", "e1000"});
  const auto places = assign_places(devices);
  EXPECT_EQ(places[30].path, "pci0/00:1f.0");
  EXPECT_EQ(places[31].path, "pci0/01:00.0");
  EXPECT_EQ(places[256 * 32 - 2].path, "pci0/ff:1f.0");
  EXPECT_EQ(places.back().path, "") << "one slot is the host bridge's";
  std::set<std::string> different;
  for (const PciPlace& place : places) different.insert(place.path);
  EXPECT_EQ(different.size(), devices.size());
}

TEST(PciPlaces, SayTheirAddressAgain) {
  const auto address = address_of("pci0/ff:1f.7");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->bus, 255);
  EXPECT_EQ(address->slot, 31);
  EXPECT_EQ(address->function, 7);
}

TEST(PciPlaces, SayNoAddressOfAnotherText) {
  for (const std::string_view text :
       {"", "pci0/", "pci0/00:01", "pci0/00:01.0 ", "pci1/00:01.0", "pci0/0g:01.0", "pci0/00-01.0",
        "pci0/00:01:0", "pci0/+1:01.0", "isa0/rtc@70", "cpu0/lapic.."}) {
    EXPECT_FALSE(address_of(text)) << text;
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
