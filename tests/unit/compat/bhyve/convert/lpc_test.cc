// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr std::string_view kBridge = "pci0/00:1f.0";
constexpr std::string_view kCom1 = "isa0/uart@3f8";

Context with_uarts(std::uint64_t count) {
  Context context;
  context.uarts = count;
  return context;
}

/// A port that a driver has set up with FIFOs, at 115,200 bit/s.
void put_uart(ItemValues& items, const std::string& uart) {
  items[uart + "ier"] = 0x03;
  items[uart + "lcr"] = 0x13;
  items[uart + "mcr"] = 0x0b;
  items[uart + "lsr"] = 0x60;
  items[uart + "msr"] = 0xb0;
  items[uart + "fcr"] = 0xc1;
  items[uart + "scr"] = 0x5a;
  items[uart + "dll"] = 0x01;
  items[uart + "dlh"] = 0x02;
  items[uart + "rxfifo.size"] = 16;
}

void put_fifo(ItemValues& items, const std::string& uart, const std::vector<unsigned>& buffer,
              std::uint64_t first, std::uint64_t count) {
  ByteVector bytes = bytes_of(buffer);
  bytes.resize(16);
  items[uart + "rxfifo.buf"] = bytes;
  items[uart + "rxfifo.rindex"] = first;
  items[uart + "rxfifo.num"] = count;
  items[uart + "rxfifo.windex"] = (first + count) % 16;
}

MappingRun run_of(const ItemValues& items, std::uint64_t uarts) {
  return MappingRun("lpc", "by axes", with_uarts(uarts), items, Vendor::kIntel, std::string(kBridge));
}

TEST(Lpc, GivesEveryRegisterOfItsSerialPortsBack) {
  ItemValues items;
  put_uart(items, "uart[0].");
  items["uart[0].lsr"] = 0x61;
  items["uart[0].data"] = 0x41;
  put_fifo(items, "uart[0].", {'h', 'i'}, 0, 2);
  put_uart(items, "uart[1].");
  MappingRun run = run_of(items, 2);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("uart[0].data", "uart[1].data"));

  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "ier"), 0x03);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "lcr"), 0x13);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "mcr"), 0x0b);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "lsr"), 0x61);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "msr"), 0xb0);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "fcr"), 0xc1);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "scr"), 0x5a);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "dll"), 0x01);
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "dlm"), 0x02);
  EXPECT_EQ(run.field<ByteVector>(kCom1, "receive_fifo"), bytes_of({'h', 'i'}));
  EXPECT_TRUE(run.field<bool>(kCom1, "thre_interrupt_pending"));
  EXPECT_TRUE(run.field<ByteVector>("isa0/uart@2f8", "receive_fifo").empty());
  EXPECT_EQ(run.field<std::uint8_t>(kBridge, "reset_control"), 0);
  EXPECT_EQ(run.machine().find("isa0/uart@3e8"), nullptr);
  EXPECT_THAT(run.not_in_file(),
              IsSupersetOf({"reset_control, apm_control, apm_status", "thre_interrupt_pending"}));
}

TEST(Lpc, NamesFourSerialPortsByTheirAddresses) {
  MappingRun run = run_of({{"uart[2].scr", 3}, {"uart[3].scr", 4}}, 4);
  EXPECT_THAT(run.kept_after_both_ways(), Not(Contains("uart[2].scr")));
  EXPECT_EQ(run.field<std::uint8_t>("isa0/uart@3e8", "scr"), 3);
  EXPECT_EQ(run.field<std::uint8_t>("isa0/uart@2e8", "scr"), 4);
  EXPECT_FALSE(run.field<bool>("isa0/uart@2e8", "thre_interrupt_pending"));
}

TEST(Lpc, FormsTheLineStatusAsBhyveDoesWhenTheGuestReadsIt) {
  ItemValues items;
  put_uart(items, "uart[0].");
  items["uart[0].lsr"] = 0x03;  // a stale DR, an overrun, and the transmitter's bits not yet formed
  MappingRun run = run_of(items, 1);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("uart[0].data", "uart[0].lsr"));
  EXPECT_EQ(run.field<std::uint8_t>(kCom1, "lsr"), 0x62);
}

TEST(Lpc, FollowsTheReceiveFifoAroundItsEnd) {
  ItemValues items;
  put_uart(items, "uart[0].");
  put_fifo(items, "uart[0].", {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}, 14, 3);
  MappingRun run = run_of(items, 1);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("uart[0].data", "uart[0].lsr", "uart[0].rxfifo.rindex",
                                                      "uart[0].rxfifo.windex", "uart[0].rxfifo.buf"));
  EXPECT_EQ(run.field<ByteVector>(kCom1, "receive_fifo"), bytes_of({1, 2, 3}));
}

TEST(Lpc, HasAFifoOfOneByteWhileFifosAreOff) {
  ItemValues items;
  put_uart(items, "uart[0].");
  items["uart[0].fcr"] = 0;
  items["uart[0].lsr"] = 0x61;
  items["uart[0].rxfifo.size"] = 1;
  items["uart[0].rxfifo.num"] = 1;
  ByteVector buffer(16);
  buffer[0] = std::byte{'x'};
  items["uart[0].rxfifo.buf"] = buffer;
  MappingRun run = run_of(items, 1);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("uart[0].data"));
  EXPECT_EQ(run.field<ByteVector>(kCom1, "receive_fifo"), bytes_of({'x'}));
}

TEST(Lpc, ReadsNothingFromPositionsOutsideOfTheFifo) {
  struct Positions {
    std::uint64_t first, count, size;
  };
  for (const auto& [first, count, size] : std::vector<Positions>{{0x7fffffff, 1, 16},
                                                                 {0xffffffff, 1, 16},
                                                                 {16, 1, 16},
                                                                 {0, 17, 16},
                                                                 {0, 0x7fffffff, 16},
                                                                 {0, 0x80000000, 16},
                                                                 {0, 1, 0},
                                                                 {0, 17, 17},
                                                                 {0, 1, 0x7fffffff},
                                                                 {0, 1, 0xffffffff}}) {
    ItemValues items;
    put_uart(items, "uart[0].");
    items["uart[0].rxfifo.rindex"] = first;
    items["uart[0].rxfifo.num"] = count;
    items["uart[0].rxfifo.size"] = size;
    MappingRun run = run_of(items, 1);
    EXPECT_THAT(run.kept_after_both_ways(), Contains("uart[0].rxfifo.num")) << first << " " << count;
    EXPECT_TRUE(run.field<ByteVector>(kCom1, "receive_fifo").empty()) << first << " " << count;
  }
}

TEST(Lpc, LeavesSerialPortsWithoutAnAddressToTheFile) {
  MappingRun run = run_of({{"uart[4].scr", 9}}, 5);
  EXPECT_THAT(run.kept_after_both_ways(), Contains("uart[4].scr"));
  EXPECT_EQ(run.machine().devices().size(), 5u);
}

TEST(Lpc, GivesSerialPortsThatTheMachineDoesNotHaveAsBhyveMakesThem) {
  MappingRun run = run_of({}, 2);
  ASSERT_THAT(run.kept_after_both_ways(), Contains("uart[1].data"));
  const auto number = [&](std::string_view path) {
    const Values::Value* value = run.values.find(path);
    return value == nullptr ? ~std::uint64_t{0} : std::get<std::uint64_t>(value->content);
  };
  EXPECT_EQ(number("uart[3].dll"), 12u);
  EXPECT_EQ(number("uart[3].msr"), 0xa0u);
  EXPECT_EQ(number("uart[3].ier"), 0u);
  EXPECT_EQ(number("uart[3].rxfifo.size"), 1u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
