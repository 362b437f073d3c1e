// SPDX-License-Identifier: BSD-2-Clause
// Local APICs. Their registers lie in a page at the offsets that they have in memory.
#include <vector>

#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kId = 0x20, kVersion = 0x30, kPpr = 0xa0, kIsr = 0x100, kTmr = 0x180, kIrr = 0x200;
constexpr std::uint64_t kTimerLvt = 0x320, kInitialCount = 0x380, kDivide = 0x3e0;
constexpr std::uint64_t kPriorityClass = 0xf0;
constexpr std::uint64_t kLowestVector = 16;
constexpr std::int64_t kDeepest = 16;

struct NamedRegister {
  std::uint64_t offset;
  std::string_view name;
};
constexpr NamedRegister kLvts[] = {{0x2f0, "CMCI"},        {kTimerLvt, "timer"}, {0x330, "thermal"},
                                   {0x340, "performance"}, {0x350, "LINT0"},     {0x360, "LINT1"},
                                   {0x370, "error"}};
constexpr NamedRegister kVectorSets[] = {{kIsr, "ISR"}, {kTmr, "TMR"}, {kIrr, "IRR"}};

class Lapic {
 public:
  Lapic(ValueChecker& chunk, std::uint64_t index, ByteView page)
      : chunk_(chunk), index_(index), page_(page), name_(fmt::format("vcpu[{}].", index)) {}

  void check() {
    check_identity();
    for (const NamedRegister& one : kLvts) check_lvt(one);
    for (const NamedRegister& one : kVectorSets) {
      constexpr std::uint32_t kReserved = (1u << kLowestVector) - 1;
      if ((at(one.offset) & kReserved) == 0) continue;
      say(one.offset, "vector",
          fmt::format("the {} begins with {:#x}, but no interrupt has a vector below {}", one.name,
                      at(one.offset), kLowestVector));
    }
    check_served();
    check_timer();
    // Deeper, and bhyve writes behind its array.
    chunk_.within(name_ + "isrvec_stk_top", 0, kDeepest, "the depth of nested interrupts",
                  Consequence::kCrash);
    chunk_.within(name_ + "boot_state", 0, 2, "a state on the way to running");
  }

 private:
  [[nodiscard]] std::uint32_t at(std::uint64_t offset) const { return load_le<std::uint32_t>(page_, offset); }
  void say(std::uint64_t offset, std::string_view code, std::string sentence) {
    chunk_.say_at(name_ + "apic_page", offset, code, std::move(sentence));
  }

  void check_identity() {
    const std::uint32_t id = at(kId);
    if (id != index_ && id != (index_ & 0xff) << 24)
      say(kId, "apic-id", fmt::format("the ID register is {:#x}, which is not that of vCPU {}", id, index_));
    if (const std::uint32_t version = at(kVersion) & 0xff; version < 0x10 || version > 0x1f)
      say(kVersion, "apic-version",
          fmt::format("the version is {:#x}, but an APIC of 64-bit processors has "
                      "0x10 to 0x1f",
                      version));
  }

  void check_lvt(const NamedRegister& one) {
    constexpr std::uint32_t kMasked = 1u << 16;
    const std::uint32_t entry = at(one.offset);
    if (one.offset == kTimerLvt && (entry >> 17 & 3) == 3)
      say(one.offset, "timer-mode",
          fmt::format("the timer's entry {:#x} has mode 3, which there is not", entry));
    const bool is_fixed = one.offset == kTimerLvt || (entry >> 8 & 7) == 0;
    if ((entry & kMasked) == 0 && is_fixed && (entry & 0xff) < kLowestVector)
      say(one.offset, "vector",
          fmt::format("the {} entry {:#x} is not masked and has a vector below {}", one.name, entry,
                      kLowestVector));
  }

  [[nodiscard]] std::vector<unsigned> served() const {
    std::vector<unsigned> vectors;
    for (unsigned vector = 0; vector < 256; ++vector) {
      if ((at(kIsr + vector / 32 * 16) >> vector % 32 & 1) != 0) vectors.push_back(vector);
    }
    return vectors;
  }

  void check_served() {
    const std::vector<unsigned> vectors = served();
    // Without exits for each access the processor changes TPR alone, so PPR may lag behind it, but not behind
    // ISR.
    if (!vectors.empty() && (at(kPpr) & kPriorityClass) < (vectors.back() & kPriorityClass)) {
      say(kPpr, "apic-priority",
          fmt::format("PPR is {:#x}, but vector {:#x} is being served, which has a higher priority", at(kPpr),
                      vectors.back()));
    }
    const std::int64_t top = chunk_.signed_or_zero(name_ + "isrvec_stk_top");
    const std::string stack = name_ + "isrvec_stk";
    if (const std::uint64_t first = chunk_.get_or_zero(stack); top == 0 && first != 0)
      chunk_.say_of(stack, 0, "nested-interrupts",
                    fmt::format("it is {:#x}, but the first element is always 0", first),
                    Consequence::kCrash);
    // Where the processor delivers interrupts itself, bhyve does not use the stack.
    if (top <= 0 || top > kDeepest) return;
    for (std::size_t i = 1; i <= static_cast<std::size_t>(top); ++i) {
      const std::uint64_t vector = chunk_.get_or_zero(stack, i);
      if (i <= vectors.size() && vectors[i - 1] == vector) continue;
      chunk_.say_of(stack, i, "nested-interrupts",
                    fmt::format("it is {:#x}, but ISR has {}; bhyve's kernel compares the two", vector,
                                i <= vectors.size() ? fmt::format("{:#x}", vectors[i - 1]) : "no more"),
                    Consequence::kCrash);
      return;
    }
    if (vectors.size() > static_cast<std::size_t>(top))
      chunk_.say(name_ + "isrvec_stk_top", "nested-interrupts",
                 fmt::format("it is {}, but ISR has {} vectors; bhyve's kernel compares the two", top,
                             vectors.size()),
                 Consequence::kCrash);
  }

  void check_timer() {
    constexpr std::uint64_t kBusFrequency = std::uint64_t{1} << 27;
    constexpr std::uint32_t kDivideBits = 0xb;
    const std::uint32_t divide = at(kDivide);
    if ((divide & ~kDivideBits) != 0) {
      say(kDivide, "reserved-bits",
          fmt::format("the divide configuration {:#x} has bits that there are not", divide));
      return;
    }
    const unsigned shift = (((divide & 3u) | (divide >> 1 & 4u)) + 1u) & 7u;
    const std::string frequency = name_ + "timer_freq_bt.frac";
    const auto tick = chunk_.get(frequency);
    if (!tick) return;
    // As bhyve computes it; exact, as both are powers of two.
    const std::uint64_t expected = (std::uint64_t{1} << 63) / (kBusFrequency >> shift) * 2;
    if (*tick == 0) {
      chunk_.say(frequency, "timer-frequency", "it is 0, and bhyve's kernel divides by it",
                 Consequence::kCrash);
    } else if (*tick != expected) {
      chunk_.say(frequency, "timer-frequency",
                 fmt::format("it is {:#x}, but with the divide configuration {:#x} it is {:#x}", *tick,
                             divide, expected));
    }
    if (chunk_.get_or_zero(name_ + "ccr") > at(kInitialCount))
      chunk_.say(name_ + "ccr", "timer-count",
                 fmt::format("the timer has {} to go, but begins at {}", chunk_.get_or_zero(name_ + "ccr"),
                             at(kInitialCount)));
  }

  ValueChecker& chunk_;
  std::uint64_t index_;
  ByteView page_;
  std::string name_;
};

}  // namespace

void check_vlapic(ValueChecker& chunk) {
  constexpr std::size_t kPageSize = 4096;
  for (std::uint64_t index = 0; index < chunk.ncpus(); ++index) {
    const auto page = chunk.decoded().bytes(fmt::format("vcpu[{}].apic_page", index));
    if (page && page->size() == kPageSize) Lapic(chunk, index, *page).check();
  }
}

}  // namespace vmsnap::compat::bhyve
