// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "system0/ioapic@fec00000";
constexpr std::uint64_t kBase = 0xfec00000;
constexpr std::size_t kPins = 32;
constexpr std::uint64_t kLevelTriggered = 1 << 15;

constexpr Row kRows[] = {{"ioregsel", "ioregsel"}};

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * ioapic, machine.device(kPath, "ioapic"));
  VMSNAP_RETURN_IF_ERROR(ioapic->set("base", kBase));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", *ioapic, ""));
  std::vector<std::uint64_t> table(kPins);
  std::uint32_t requests = 0;
  for (std::size_t n = 0; n < kPins; ++n) {
    VMSNAP_ASSIGN_OR_RETURN(table[n], chunk.number(fmt::format("pin[{}].reg", n)));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t holders, chunk.number(fmt::format("pin[{}].acnt", n)));
    const bool is_asserted = static_cast<std::int64_t>(holders) > 0;
    if ((table[n] & kLevelTriggered) != 0 && is_asserted) requests |= std::uint32_t{1} << n;
  }
  VMSNAP_RETURN_IF_ERROR(ioapic->set("redirection_table", table));
  VMSNAP_RETURN_IF_ERROR(ioapic->set("irr", requests));
  machine.not_in_file(
      {std::string(kPath), "id", "0", "A guest that has given the I/O APIC another ID reads 0 from it."});
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* ioapic, machine.need(kPath));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *ioapic, "", chunk.values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto table, ioapic->get<std::vector<std::uint64_t>>("redirection_table"));
  VMSNAP_ASSIGN_OR_RETURN(const auto requests, ioapic->get<std::uint32_t>("irr"));
  for (std::size_t n = 0; n < table.size() && n < kPins; ++n) {
    const bool is_level = (table[n] & kLevelTriggered) != 0;
    chunk.values.map(fmt::format("pin[{}].reg", n), table[n]);
    chunk.values.derive(fmt::format("pin[{}].acnt", n), is_level ? requests >> n & 1 : 0);
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVioapic = {"vioapic", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
