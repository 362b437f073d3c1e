// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include <optional>
#include <random>

#include "steps/step_fixture.h"

namespace vmsnap::compat {
namespace {

using testing::HasSubstr;

constexpr ChunkVersion k10{1, 0}, k20{2, 0};
constexpr std::uint64_t kCentury = std::uint64_t{100} * 366 * 86400 * 1'000'000'000;

class I8254StepsTest : public StepFixture {
 protected:
  I8254StepsTest() : StepFixture("i8254") {}

  /// Counter 2 as given, the others as after reset.
  StateTree state(ChunkVersion version, std::uint8_t mode, std::uint32_t count) {
    StateTree tree = blank(version);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(tree.append("counters"));
      EXPECT_TRUE(tree.set("counters[" + std::to_string(i) + "].count", std::uint32_t{65536}));
    }
    EXPECT_TRUE(tree.set("counters[2].mode", mode));
    EXPECT_TRUE(tree.set("counters[2].count", count));
    return tree;
  }
  StateTree old_state(std::uint8_t mode, std::uint32_t count, std::uint64_t elapsed) {
    StateTree tree = state(k10, mode, count);
    EXPECT_TRUE(tree.set("counters[2].elapsed", elapsed));
    return tree;
  }
  StateTree new_state(std::uint8_t mode, std::uint32_t count, std::optional<std::uint64_t> pulses,
                      std::optional<bool> output) {
    StateTree tree = state(k20, mode, count);
    EXPECT_TRUE(tree.set("counters[2].elapsed_pulses", pulses));
    EXPECT_TRUE(tree.set("counters[2].output", output));
    return tree;
  }
  static std::optional<std::uint64_t> pulses(const StateTree& tree) {
    return *tree.get<std::optional<std::uint64_t>>("counters[2].elapsed_pulses");
  }
  static std::optional<bool> output(const StateTree& tree) {
    return *tree.get<std::optional<bool>>("counters[2].output");
  }
  static std::optional<std::uint64_t> elapsed(const StateTree& tree) {
    return *tree.get<std::optional<std::uint64_t>>("counters[2].elapsed");
  }
};

TEST_F(I8254StepsTest, CountWholePulsesGoingUpAndSayTheyConverted) {
  const Conversion conversion = convert(old_state(3, 1193, 123'456'789), k10, k20);
  ASSERT_TRUE(conversion.converted);
  const StateTree tree = decode(k20, conversion.converted->state);
  EXPECT_EQ(pulses(tree), 147'306u);
  EXPECT_EQ(output(tree), true);
  const Outcome* outcome = find(conversion, "counters[2].elapsed");
  ASSERT_NE(outcome, nullptr);
  EXPECT_EQ(outcome->kind, OutcomeKind::kConverted);
  EXPECT_EQ(outcome->sentence, "123456789 ns are 147306 whole pulses, after which OUT is 1");
}

TEST_F(I8254StepsTest, DeriveOutGoingUpAsKvmShowedItToTheGuest) {
  struct Case {
    std::uint8_t mode;
    std::uint64_t pulses;
    bool output;
  };
  const Case cases[] = {
      {0, 1000, false}, {0, 1001, true},  {1, 1000, true},  {1, 1001, false}, {2, 0, false},
      {2, 1001, true},  {2, 1002, false}, {3, 500, true},   {3, 501, false},  {3, 1001, true},
      {4, 1000, false}, {4, 1001, true},  {4, 1002, false}, {5, 1001, true},  {5, 1002, false},
  };
  for (const Case& each : cases) {
    const std::uint64_t ns = (each.pulses * 1'000'000'000 + 1'193'181) / 1'193'182;
    const StateTree tree = convert_all(old_state(each.mode, 1001, ns), k10, k20);
    EXPECT_EQ(pulses(tree), each.pulses);
    EXPECT_EQ(output(tree), each.output) << int{each.mode} << " " << each.pulses;
  }
}

TEST_F(I8254StepsTest, LeaveUnknownWhatWasUnknown) {
  const StateTree up = convert_all(state(k10, 3, 1193), k10, k20);
  EXPECT_FALSE(pulses(up).has_value());
  EXPECT_FALSE(output(up).has_value());
  const StateTree down = convert_all(state(k20, 3, 1193), k20, k10);
  EXPECT_FALSE(elapsed(down).has_value());
}

TEST_F(I8254StepsTest, CarryEverythingElseBothWays) {
  StateTree tree = old_state(3, 1193, 5'000'000'000);
  ASSERT_TRUE(tree.set("speaker_data_enable", true));
  ASSERT_TRUE(tree.set("irq0_disconnected", true));
  ASSERT_TRUE(tree.set("counters[2].access", std::uint8_t{3}));
  ASSERT_TRUE(tree.set("counters[2].bcd", true));
  ASSERT_TRUE(tree.set("counters[2].gate", true));
  ASSERT_TRUE(tree.set("counters[2].count_latched", true));
  ASSERT_TRUE(tree.set("counters[2].latched_count", std::uint16_t{0x1234}));
  ASSERT_TRUE(tree.set("counters[2].status_latched", true));
  ASSERT_TRUE(tree.set("counters[2].latched_status", std::uint8_t{0xb6}));
  ASSERT_TRUE(tree.set("counters[2].read_high_next", true));
  ASSERT_TRUE(tree.set("counters[2].write_high_next", true));
  ASSERT_TRUE(tree.set("counters[2].write_low_byte", std::uint8_t{0x9c}));
  const StateTree up = convert_all(tree, k10, k20);
  EXPECT_EQ(*up.get<std::uint16_t>("counters[2].latched_count"), 0x1234);
  EXPECT_EQ(*convert_all(up, k20, k10).encode(), *tree.encode());  // 5 s are a whole number of pulses
}

TEST_F(I8254StepsTest, DownThenUpGivesTheSamePulsesAndOut) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    const auto mode = static_cast<std::uint8_t>(random() % 6);
    const auto count = static_cast<std::uint32_t>(1 + random() % 65536);
    const std::uint64_t ns = random() % kCentury >> random() % 40;
    const StateTree up = convert_all(old_state(mode, count, ns), k10, k20);
    const StateTree down = convert_all(up, k20, k10);
    EXPECT_LE(*elapsed(down), ns);
    EXPECT_LT(ns - *elapsed(down), 839u);  // one pulse
    EXPECT_EQ(*convert_all(down, k10, k20).encode(), *up.encode());
    EXPECT_EQ(*convert_all(convert_all(down, k10, k20), k20, k10).encode(), *down.encode());
  }
}

TEST_F(I8254StepsTest, GoingDownSaysThatPulsesAndOutAreConverted) {
  const Conversion conversion = convert(new_state(0, 1000, 1193182, true), k20, k10);
  ASSERT_TRUE(conversion.converted);
  EXPECT_EQ(elapsed(decode(k10, conversion.converted->state)), 1'000'000'000u);
  for (const char* field : {"counters[2].elapsed_pulses", "counters[2].output"}) {
    const Outcome* outcome = find(conversion, field);
    ASSERT_NE(outcome, nullptr) << field;
    EXPECT_EQ(outcome->kind, OutcomeKind::kConverted) << field;
    EXPECT_FALSE(outcome->sentence.empty());
  }
}

TEST_F(I8254StepsTest, GoingDownRefusesALevelOfOutThatDoesNotFollowFromTheRest) {
  const Conversion conversion = convert(new_state(0, 1000, 1193182, false), k20, k10);
  EXPECT_FALSE(conversion.converted);
  const Outcome* outcome = find(conversion, "counters[2].output");
  ASSERT_NE(outcome, nullptr);
  EXPECT_TRUE(outcome->refused());
  EXPECT_THAT(refusal(conversion.report).to_string(), HasSubstr("device.counters[2].output"));
}

TEST_F(I8254StepsTest, GoingDownRefusesALevelOfOutWithoutPulsesUnlessItIsAllowed) {
  const StateTree tree = new_state(0, 1000, std::nullopt, true);
  EXPECT_FALSE(convert(tree, k20, k10).converted);
  const Conversion allowed = convert(tree, k20, k10, *AllowedLosses::parse({"device.counters[2].output"}));
  ASSERT_TRUE(allowed.converted);
  EXPECT_FALSE(elapsed(decode(k10, allowed.converted->state)).has_value());
}

TEST_F(I8254StepsTest, RefusePulsesThatNoNumberOfNanosecondsIs) {
  const auto conversion = try_convert(new_state(0, 1000, ~std::uint64_t{0}, true), k20, k10);
  ASSERT_FALSE(conversion);
  EXPECT_EQ(conversion.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(conversion.error().field(), "counters[2].elapsed_pulses");
}

TEST_F(I8254StepsTest, TakeAnyCountAndMode) {
  for (const int mode : {0, 1, 2, 3, 4, 5, 6, 255}) {
    for (const std::uint32_t count : {0u, 1u, 65536u, 0xffffffffu}) {
      for (const std::uint64_t ns : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
        const StateTree up = convert_all(old_state(static_cast<std::uint8_t>(mode), count, ns), k10, k20);
        const StateTree down = convert_all(up, k20, k10);
        EXPECT_EQ(*convert_all(down, k10, k20).encode(), *up.encode());
      }
    }
  }
}

}  // namespace
}  // namespace vmsnap::compat
