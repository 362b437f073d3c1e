// SPDX-License-Identifier: BSD-2-Clause
// The IOAPIC and the two 8259.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::int64_t kMostAsserting = 1 << 16;
constexpr std::string_view kAsserting = "how many assert the pin";

void check_redirection(ValueChecker& chunk, const std::string& path) {
  constexpr std::uint64_t kMasked = 1u << 16, kLevel = 1u << 15, kRemoteIrr = 1u << 14;
  /// bhyve sets bit 48 of pins that are not in use; above may be more of the destination.
  constexpr std::uint64_t kReserved = 0x0000'ffff'fffe'0000;
  constexpr std::uint64_t kLowestVector = 16;
  const std::uint64_t entry = chunk.get_or_zero(path);
  chunk.without_bits(path, kReserved, "which a redirection entry does not have");
  const std::uint64_t mode = entry >> 8 & 7;
  if (mode == 3 || mode == 6)
    chunk.say(path, "redirection",
              fmt::format("{:#x} has delivery mode {}, which there is not", entry, mode));
  if ((entry & kMasked) == 0 && mode <= 1 && (entry & 0xff) < kLowestVector)
    chunk.say(path, "redirection",
              fmt::format("{:#x} is not masked and has a vector below {}", entry, kLowestVector));
  if ((entry & kRemoteIrr) != 0 && (entry & kLevel) == 0)
    chunk.say(path, "redirection",
              fmt::format("{:#x} is edge triggered and waits for an EOI, which only level triggered pins do",
                          entry));
}

}  // namespace

void check_vioapic(ValueChecker& chunk) {
  chunk.within("ioregsel", 0, 0xff, "the number of a register");
  for (unsigned pin = 0; pin < 32; ++pin) {
    check_redirection(chunk, fmt::format("pin[{}].reg", pin));
    chunk.within(fmt::format("pin[{}].acnt", pin), 0, kMostAsserting, kAsserting);
  }
}

void check_vatpic(ValueChecker& chunk) {
  for (unsigned pic = 0; pic < 2; ++pic) {
    const std::string name = fmt::format("pic[{}].", pic);
    chunk.within(name + "icw_num", 0, 5, "a step of initialisation");
    chunk.within(name + "rd_cmd_reg", 0, 1, "which register is read");
    chunk.within(name + "irq_base", 0, 0xf8, "the first vector");
    if (const std::uint64_t base = chunk.get_or_zero(name + "irq_base"); base <= 0xf8 && base % 8 != 0)
      chunk.say(name + "irq_base", "vector", fmt::format("{:#x} is no multiple of 8", base));
    chunk.within(name + "lowprio", 0, 7, "the input of lowest priority");
    for (std::size_t input = 0; input < 8; ++input) {
      const auto count = static_cast<std::int64_t>(chunk.get_or_zero(name + "acnt", input));
      if (count >= 0 && count <= kMostAsserting) continue;
      chunk.say_of(
          name + "acnt", input, "out-of-range",
          fmt::format("it is {}, but as {} it can only be 0 to {}", count, kAsserting, kMostAsserting));
    }
  }
  /// Timer, keyboard, cascade, clock and FPU are always edge triggered.
  constexpr std::uint64_t kAlwaysEdge[] = {0x07, 0x21};
  for (std::size_t half = 0; half < 2; ++half) {
    const std::uint64_t levels = chunk.get_or_zero("elc", half);
    if ((levels & kAlwaysEdge[half]) != 0)
      chunk.say_of("elc", half, "trigger",
                   fmt::format("{:#x} makes pins level triggered that are always edge triggered", levels));
  }
}

}  // namespace vmsnap::compat::bhyve
