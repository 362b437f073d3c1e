// SPDX-License-Identifier: BSD-2-Clause
// HPET and 8254.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

void check_comparator(ValueChecker& chunk, const std::string& path) {
  constexpr std::uint64_t kPeriodic = 1u << 3, kCanBePeriodic = 1u << 4;
  constexpr std::uint64_t kMessages = 1u << 14, kCanSendMessages = 1u << 15;
  /// Type, enable, periodic (and able to), size, value set, 32-bit, route, messages (and able to).
  constexpr std::uint64_t kReserved = 0x0000'0000'ffff'0081;
  const std::uint64_t config = chunk.get_or_zero(path);
  const std::uint64_t route = config >> 9 & 0x1f;
  chunk.without_bits(path, kReserved, "which the register does not have");
  if ((config & kPeriodic) != 0 && (config & kCanBePeriodic) == 0)
    chunk.say(path, "comparator", fmt::format("{:#x} is periodic, which this timer cannot be", config));
  if ((config & kMessages) != 0 && (config & kCanSendMessages) == 0)
    chunk.say(path, "comparator", fmt::format("{:#x} sends messages, which this timer cannot", config));
  if (route != 0 && (config >> 32 >> route & 1) == 0)
    chunk.say(path, "comparator",
              fmt::format("{:#x} is routed to pin {}, which is not among those it allows", config, route));
}

}  // namespace

void check_vhpet(ValueChecker& chunk) {
  const std::int64_t tick = chunk.signed_or_zero("freq_sbt");
  if (tick == 0) {
    chunk.say("freq_sbt", "timer-frequency", "it is 0, and bhyve's kernel divides by it",
              Consequence::kCrash);
  } else if (tick < 0) {
    chunk.say("freq_sbt", "timer-frequency", fmt::format("a tick of {} seconds / 2^32 runs backwards", tick));
  }
  chunk.without_bits("config", ~std::uint64_t{3}, "which the register does not have");
  chunk.without_bits("isr", ~std::uint64_t{0xff}, "but there are eight timers");
  for (unsigned timer = 0; timer < 8; ++timer)
    check_comparator(chunk, fmt::format("timer[{}].cap_config", timer));
}

void check_vatpit(ValueChecker& chunk) {
  if (chunk.get_or_zero("freq_bt.frac") == 0)
    chunk.say("freq_bt.frac", "timer-frequency", "it is 0, and bhyve's kernel divides by it",
              Consequence::kCrash);
  for (unsigned channel = 0; channel < 3; ++channel) {
    const std::string name = fmt::format("ch{}.", channel);
    chunk.within(name + "mode", 0, 0xf, "the mode in a control word");
    chunk.without_bits(name + "status", 0x3f, "but only 0x80 and 0x40 are kept");
    // Both index arrays of two bytes.
    chunk.within(name + "crbyte", 0, 2, "bytes written of a count", Consequence::kCrash);
    chunk.within(name + "frbyte", 0, 1, "which byte of the count is read next");
  }
}

}  // namespace vmsnap::compat::bhyve
