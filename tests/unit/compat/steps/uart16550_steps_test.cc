// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include <array>
#include <optional>

#include "state_fixture.h"

namespace vmsnap::compat {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChunkVersion k10{1, 0}, k11{1, 1};
constexpr std::array<const char*, 9> kRegisters = {"ier", "fcr", "lcr", "mcr", "lsr",
                                                   "msr", "scr", "dll", "dlm"};
using Bytes = std::vector<std::uint8_t>;

class Uart16550Steps : public StateFixture {
 protected:
  Uart16550Steps() : StateFixture("uart16550") {}

  StateTree port(ChunkVersion version, std::uint8_t lsr) {
    StateTree tree = empty(version);
    for (std::size_t i = 0; i < kRegisters.size(); ++i) set(tree, kRegisters[i], 0x11 * (i + 1));
    set(tree, "lsr", lsr);
    set(tree, "receive_fifo", Bytes{'l', 's'});
    return tree;
  }
  void expect_port(const StateTree& tree, std::uint8_t lsr) {
    for (std::size_t i = 0; i < kRegisters.size(); ++i) {
      if (std::string_view(kRegisters[i]) == "lsr") continue;
      EXPECT_EQ(byte(tree, kRegisters[i]), 0x11 * (i + 1)) << kRegisters[i];
    }
    EXPECT_EQ(byte(tree, "lsr"), lsr);
    EXPECT_EQ(get<Bytes>(tree, "receive_fifo"), (Bytes{'l', 's'}));
  }
};

TEST_F(Uart16550Steps, GiveAnOldStateAnEmptyTransmitter) {
  const auto up = convert(port(k10, 0x61), k10, k11, {}, {}, {"transmit-fifo"});
  ASSERT_TRUE(up) << up.error().to_string();
  const StateTree state = state_of(*up);
  expect_port(state, 0x61);
  EXPECT_FALSE(get<bool>(state, "thre_interrupt_pending"));
  EXPECT_EQ(get<std::optional<Bytes>>(state, "transmit_fifo"), std::nullopt);
  EXPECT_THAT(carried(up->report), ElementsAre("ier", "fcr", "lcr", "mcr", "lsr", "msr", "scr", "dll", "dlm",
                                               "receive_fifo", "thre_interrupt_pending"));
  EXPECT_THAT(changes(up->report), ElementsAre("defaulted transmit_fifo"));
}

TEST_F(Uart16550Steps, LoseNothingOfAPortWithAnEmptyTransmitter) {
  for (const bool present : {false, true}) {
    StateTree tree = port(k11, 0x61);
    if (present) set(tree, "transmit_fifo", Bytes{});
    const auto down = convert(tree, k11, k10);
    ASSERT_TRUE(down) << down.error().to_string();
    const StateTree state = state_of(*down);
    expect_port(state, 0x61);
    EXPECT_FALSE(get<bool>(state, "thre_interrupt_pending"));
    EXPECT_THAT(changes(down->report), IsEmpty());
    EXPECT_EQ(down->converted->device.readable_since, k10);
  }
}

TEST_F(Uart16550Steps, RefuseToLoseCharactersByNameValueAndConsequence) {
  StateTree tree = port(k11, 0x01);
  set(tree, "transmit_fifo", Bytes{'l', 'o', 'g'});
  const auto down = convert(tree, k11, k10, {"transmit-fifo"});
  ASSERT_TRUE(down);
  EXPECT_FALSE(down->converted);
  EXPECT_THAT(changes(down->report),
              ElementsAre("converted lsr", "converted thre_interrupt_pending", "lost transmit_fifo"));
  EXPECT_THAT(refusal(down->report).to_string(),
              AllOf(HasSubstr("isa0/device@1.transmit_fifo"), HasSubstr("6c"), HasSubstr("is never sent")));
}

TEST_F(Uart16550Steps, LetADriverGoOnWhoseCharactersMayBeLost) {
  StateTree tree = port(k11, 0x03);
  set(tree, "transmit_fifo", Bytes{'l', 'o', 'g'});
  const auto allowed = AllowedLosses::parse({"isa0/device@1.transmit_fifo"});
  ASSERT_TRUE(allowed);
  const auto down = convert(tree, k11, k10, {"transmit-fifo"}, *allowed);
  ASSERT_TRUE(down);
  const StateTree state = state_of(*down);
  expect_port(state, 0x63);
  EXPECT_TRUE(get<bool>(state, "thre_interrupt_pending"));
  EXPECT_THAT(down->converted->device.features, IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat
