// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include <numeric>

#include "state_fixture.h"

namespace vmsnap::compat {
namespace {

using testing::ElementsAre;

constexpr ChunkVersion k1{1, 0}, k2{2, 0};
constexpr std::uint8_t kSet = 0x80;
using Bytes = std::vector<std::uint8_t>;

class Mc146818Steps : public StateFixture {
 protected:
  Mc146818Steps() : StateFixture("mc146818") {}

  /// Every byte is another; the control registers are what a clock could have saved.
  static Bytes image(std::uint8_t b, std::uint8_t c) {
    Bytes bytes(128);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0x40});
    bytes[0x0a] = 0x26;
    bytes[0x0b] = b;
    bytes[0x0c] = c;
    bytes[0x0d] = 0x80;
    return bytes;
  }
  StateTree old_clock(const Bytes& cmos) {
    StateTree tree = empty(k1);
    set(tree, "index", 0x8f);
    set(tree, "cmos", cmos);
    set(tree, "time", std::int64_t{-62'167'219'200});
    set(tree, "time_fraction", 976'562);
    return tree;
  }
};

TEST_F(Mc146818Steps, NameEveryByteOfTheImage) {
  const auto up = convert(old_clock(image(0x42, 0xc0)), k1, k2);
  ASSERT_TRUE(up) << up.error().to_string();
  const StateTree state = state_of(*up);
  EXPECT_EQ(byte(state, "index"), 0x8f);
  EXPECT_EQ(byte(state, "time_registers.seconds"), 0x40);
  EXPECT_EQ(byte(state, "alarm_registers.seconds"), 0x41);
  EXPECT_EQ(byte(state, "time_registers.minutes"), 0x42);
  EXPECT_EQ(byte(state, "alarm_registers.minutes"), 0x43);
  EXPECT_EQ(byte(state, "time_registers.hours"), 0x44);
  EXPECT_EQ(byte(state, "alarm_registers.hours"), 0x45);
  EXPECT_EQ(byte(state, "time_registers.day_of_week"), 0x46);
  EXPECT_EQ(byte(state, "time_registers.day_of_month"), 0x47);
  EXPECT_EQ(byte(state, "time_registers.month"), 0x48);
  EXPECT_EQ(byte(state, "time_registers.year"), 0x49);
  EXPECT_EQ(byte(state, "register_a"), 0x26);
  EXPECT_EQ(byte(state, "register_b"), 0x42);
  EXPECT_EQ(byte(state, "register_c"), 0x40) << "IRQF follows";
  EXPECT_EQ(byte(state, "register_d"), 0x80);
  const Bytes nvram = get<Bytes>(state, "nvram");
  ASSERT_EQ(nvram.size(), 114u);
  EXPECT_EQ(nvram.front(), 0x4e);
  EXPECT_EQ(nvram.back(), 0xbf);
  EXPECT_EQ(get<std::int64_t>(state, "time"), -62'167'219'200) << "years before 1677 do not fit into ns";
  EXPECT_EQ(get<std::uint32_t>(state, "divider_phase"), 976'562u);
  EXPECT_THAT(carried(up->report), ElementsAre("index", "time"));
  EXPECT_THAT(changes(up->report), ElementsAre("converted cmos", "converted time_fraction"));
}

TEST_F(Mc146818Steps, ComeBackToTheSameImageInEveryMode) {
  for (const std::uint8_t b : Bytes{0x02, 0x06, 0x00, 0x72, 0xc2}) {
    for (const std::uint8_t flags : Bytes{0x00, 0x10, 0x40, 0x70}) {
      const auto c = static_cast<std::uint8_t>((flags & b & 0x70) != 0 ? flags | 0x80 : flags);
      const StateTree before = old_clock(image(b, c));
      const auto up = convert(before, k1, k2);
      ASSERT_TRUE(up && up->converted);
      const auto down = convert(state_of(*up), k2, k1);
      ASSERT_TRUE(down && down->converted);
      EXPECT_EQ(down->converted->state, before.encode().value()) << int{b} << " " << int{flags};
      EXPECT_EQ(down->converted->device.version, k1);
      EXPECT_EQ(down->converted->device.readable_since, k1);
      EXPECT_THAT(carried(down->report), ElementsAre("index", "time"));
      EXPECT_THAT(changes(down->report),
                  ElementsAre("converted alarm_registers", "converted divider_phase", "converted nvram",
                              "converted register_a", "converted register_b", "converted register_c",
                              "converted register_d", "converted time_registers"));
      const auto again = convert(state_of(*down), k1, k2);
      ASSERT_TRUE(again && again->converted);
      EXPECT_EQ(again->converted->state, up->converted->state);
    }
  }
}

TEST_F(Mc146818Steps, SayThatAnOldClockStopsItsDividerWhileSetIsOn) {
  for (const std::uint8_t b : {std::uint8_t{0x02}, static_cast<std::uint8_t>(0x02 | kSet)}) {
    const auto up = convert(old_clock(image(b, 0)), k1, k2);
    ASSERT_TRUE(up && up->converted);
    const auto down = convert(state_of(*up), k2, k1);
    ASSERT_TRUE(down && down->converted);
    for (const Outcome& outcome : down->report.outcomes) {
      if (outcome.field != "divider_phase") continue;
      EXPECT_EQ(outcome.sentence.find("SET") != std::string::npos, (b & kSet) != 0) << outcome.sentence;
    }
  }
}

TEST_F(Mc146818Steps, LeaveOutWhatFollowsFromOtherBits) {
  Bytes bytes = image(0x02, 0x8f);
  bytes[0x0a] = 0xa6;  // UIP
  bytes[0x0d] = 0x81;
  const auto up = convert(old_clock(bytes), k1, k2);
  ASSERT_TRUE(up && up->converted);
  const StateTree state = state_of(*up);
  EXPECT_EQ(byte(state, "register_a"), 0x26);
  EXPECT_EQ(byte(state, "register_c"), 0x00);
  EXPECT_EQ(byte(state, "register_d"), 0x80);
}

TEST_F(Mc146818Steps, FindAnImageOfAnotherSizeCorrupt) {
  for (const std::size_t size : {0u, 127u, 129u}) {
    const auto up = convert(old_clock(Bytes(size)), k1, k2);
    ASSERT_FALSE(up);
    EXPECT_EQ(up.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(up.error().field(), "cmos");
    EXPECT_EQ(up.error().device(), kPath);
  }
  for (const std::size_t size : {0u, 113u, 115u}) {
    const auto up = convert(old_clock(image(0x02, 0)), k1, k2);
    ASSERT_TRUE(up && up->converted);
    StateTree tree = state_of(*up);
    set(tree, "nvram", Bytes(size));
    const auto down = convert(tree, k2, k1);
    ASSERT_FALSE(down);
    EXPECT_EQ(down.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(down.error().field(), "nvram");
  }
}

}  // namespace
}  // namespace vmsnap::compat
