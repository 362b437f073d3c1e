// SPDX-License-Identifier: BSD-2-Clause
// The rings of the e1000.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kDescriptor = 16;  // bytes
constexpr std::uint64_t kLengthUnit = 128;
constexpr std::uint64_t kNull = ~std::uint64_t{0};

struct Ring {
  std::string_view enabled;
  std::string_view base;
  std::string_view base_low;
  std::string_view base_high;
  std::string_view length;
  std::string_view pointer;
  std::string_view positions[3];
};
constexpr Ring kRings[] = {
    {"tx_enabled", "tdba", "TDBAL", "TDBAH", "TDLEN", "txdesc", {"TDH", "TDHr", "TDT"}},
    {"rx_enabled", "rdba", "RDBAL", "RDBAH", "RDLEN", "rxdesc", {"RDH", "RDT", {}}},
};

void check_ring(ValueChecker& chunk, const Ring& ring) {
  const std::uint64_t length = chunk.get_or_zero(ring.length);
  if (length % kLengthUnit != 0)
    chunk.say(ring.length, "ring", fmt::format("{} bytes are no multiple of {}", length, kLengthUnit));
  // What is said about a ring that is switched off, the guest may yet change.
  if (chunk.get_or_zero(ring.enabled) == 0 || length == 0) return;
  const std::uint64_t entries = length / kDescriptor;
  for (const std::string_view position : ring.positions) {
    if (position.empty() || chunk.get_or_zero(position) < entries) continue;
    chunk.say(position, "ring",
              fmt::format("{} is no descriptor of a ring that has {}", chunk.get_or_zero(position), entries));
  }
  const std::uint64_t base = chunk.get_or_zero(ring.base);
  const std::uint64_t told = chunk.get_or_zero(ring.base_high) << 32 | chunk.get_or_zero(ring.base_low);
  if (base % kDescriptor != 0)
    chunk.say(ring.base, "ring", fmt::format("{:#x} is no multiple of {}", base, kDescriptor));
  if (base != told)
    chunk.say(ring.base, "ring",
              fmt::format("the ring is at {:#x}, but the guest reads that it is at {:#x}", base, told));
  if (!chunk.is_memory(base, length))
    chunk.say(ring.base, "outside-memory",
              fmt::format("the ring has {} bytes from {:#x} on, which are not all the guest's memory", length,
                          base),
              Consequence::kCrash);
  if (chunk.get_or_zero(ring.pointer) == kNull)
    chunk.say(ring.pointer, "null-address", "it points nowhere, but the ring is in use", Consequence::kCrash);
}

}  // namespace

void check_e1000(ValueChecker& chunk) {
  for (const Ring& ring : kRings) check_ring(chunk, ring);
}

}  // namespace vmsnap::compat::bhyve
