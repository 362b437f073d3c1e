// SPDX-License-Identifier: BSD-2-Clause
#include "boot/aml.h"

#include <gtest/gtest.h>

namespace vmsnap::vmm::aml {
namespace {

ByteVector bytes(std::initializer_list<int> values) {
  ByteVector out;
  for (const int value : values) out.push_back(std::byte(static_cast<std::uint8_t>(value)));
  return out;
}

TEST(Aml, IntegersTakeTheirShortestForm) {
  EXPECT_EQ(integer(0), bytes({0x00}));
  EXPECT_EQ(integer(1), bytes({0x01}));
  EXPECT_EQ(integer(0xff), bytes({0x0a, 0xff}));
  EXPECT_EQ(integer(0x1234), bytes({0x0b, 0x34, 0x12}));
  EXPECT_EQ(integer(0x12345678), bytes({0x0c, 0x78, 0x56, 0x34, 0x12}));
  EXPECT_EQ(integer(0x1122334455667788), bytes({0x0e, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}));
}

TEST(Aml, NamesArePaddedAndPathsPrefixed) {
  EXPECT_EQ(name_string("RTC"), bytes({'R', 'T', 'C', '_'}));
  EXPECT_EQ(name_string("\\_SB"), bytes({'\\', '_', 'S', 'B', '_'}));
  EXPECT_EQ(name_string("\\_SB.PCI0"), bytes({'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
  EXPECT_EQ(name_string("A.B.C"),
            bytes({0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'}));
  EXPECT_EQ(name_string("\\"), bytes({'\\', 0}));
}

TEST(Aml, EisaIdentifiersAreCompressed) {
  EXPECT_EQ(eisa_id("PNP0A03"), bytes({0x0c, 0x41, 0xd0, 0x0a, 0x03}));
  EXPECT_EQ(eisa_id("PNP0501"), bytes({0x0c, 0x41, 0xd0, 0x05, 0x01}));
}

TEST(Aml, StringsEndWithAZero) {
  EXPECT_EQ(string("ab"), bytes({0x0d, 'a', 'b', 0}));
}

TEST(Aml, PackageLengthsCountThemselvesAtEachWidth) {
  // buffer: opcode, length, size (integer), bytes
  EXPECT_EQ(buffer(bytes({7})), bytes({0x11, 0x03, 0x01, 7}));
  const auto length_of = [](const ByteVector& term) {
    const auto lead = std::to_integer<std::uint32_t>(term[1]);
    const std::uint32_t extra = lead >> 6;
    if (extra == 0) return lead;
    std::uint32_t length = lead & 0x0f;
    for (std::uint32_t i = 0; i < extra; ++i)
      length |= std::to_integer<std::uint32_t>(term[2 + i]) << (4 + 8 * i);
    return length;
  };
  for (const std::size_t size :
       {0u,    58u,   59u,   60u,   61u,      62u,      63u,      64u,      4080u,    4088u,   4090u,
        4091u, 4092u, 4093u, 4096u, 1048560u, 1048567u, 1048568u, 1048569u, 1048570u, 1048576u}) {
    const ByteVector term = buffer(ByteVector(size));
    EXPECT_EQ(length_of(term), term.size() - 1) << size;
  }
}

TEST(Aml, PackagesCountTheirElements) {
  EXPECT_EQ(package({integer(1), integer(2)}), bytes({0x12, 0x05, 0x02, 0x01, 0x0a, 0x02}));
}

TEST(Aml, DevicesAndScopesWrapTheirTerms) {
  EXPECT_EQ(device("RTC", name("_UID", integer(0))),
            bytes({0x5b, 0x82, 0x0b, 'R', 'T', 'C', '_', 0x08, '_', 'U', 'I', 'D', 0x00}));
  EXPECT_EQ(scope("\\_SB", {}), bytes({0x10, 0x06, '\\', '_', 'S', 'B', '_'}));
}

TEST(Aml, ResourceTemplatesAreBuffersWithAnEndTag) {
  EXPECT_EQ(resource_template({io_ports(0x3f8, 8), irq(4)}),
            bytes({0x11, 0x10, 0x0a, 0x0d, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0}));
}

TEST(Aml, WindowsCarryTheirLength) {
  EXPECT_EQ(io_window(0xc000, 0xffff),
            bytes({0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0xc0, 0xff, 0xff, 0, 0, 0, 0x40}));
  EXPECT_EQ(bus_window(0, 0), bytes({0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(memory_window(0xc0000000, 0xfebfffff),
            bytes({0x87, 23,   0,    0,    0x0c, 1, 0, 0, 0, 0, 0, 0,    0,
                   0xc0, 0xff, 0xff, 0xbf, 0xfe, 0, 0, 0, 0, 0, 0, 0xc0, 0x3e}));
}

}  // namespace
}  // namespace vmsnap::vmm::aml
