// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/pci_prefix.h"

#include <fmt/format.h>

#include <algorithm>

#include "bhyve/convert/devices/config_space.h"

namespace vmsnap::compat::bhyve {
namespace {

/// Types of a BAR; but for the upper half they are the kinds of PciBar.
enum BarType : std::uint64_t { kNone = 0, kIo = 1, kMemory32 = 2, kMemory64 = 3, kUpperHalf = 4, kRom = 5 };

constexpr std::size_t kBars = 7;
/// MSI-X has 11 bits for the size of its table.
constexpr std::uint64_t kMostVectors = 2048;

constexpr Row kRows[] = {{"config_space", "config_space"}};
constexpr Row kMsixRows[] = {
    {"addr", "address"},
    {"msg_data", "data"},
    {"vector_control", "vector_control"},
};

std::string join(std::string_view prefix, std::string_view field) {
  return fmt::format("{}{}", prefix, field);
}

bool is_bar(std::uint64_t type) {
  return type == kIo || type == kMemory32 || type == kMemory64 || type == kRom;
}

Result<void> bars_up(const SourceChunk& chunk, StateTree& state, std::string_view prefix) {
  const std::string bars = join(prefix, "bars");
  VMSNAP_RETURN_IF_ERROR(state.make(bars));
  for (std::size_t n = 0; n < kBars; ++n) {
    const auto type = chunk.decoded.number(fmt::format("bar[{}].type", n));
    if (!type || !is_bar(type->bits)) continue;
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, chunk.number(fmt::format("bar[{}].size", n)));
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t place, state.append(bars));
    const std::string bar = fmt::format("{}[{}].", bars, place);
    VMSNAP_RETURN_IF_ERROR(state.set(bar + "index", n));
    VMSNAP_RETURN_IF_ERROR(state.set(bar + "kind", type->bits));
    VMSNAP_RETURN_IF_ERROR(state.set(bar + "size", size));
  }
  return {};
}

/// The address that is programmed into a BAR of that type.
std::uint64_t bar_address(const ConfigSpace& space, std::size_t index, std::uint64_t type) {
  const std::size_t offset = type == kRom ? 0x30 : 0x10 + 4 * index;
  const std::uint64_t low = space.dword(offset);
  switch (type) {
    case kIo:
      return low & ~std::uint64_t{0x3};
    case kMemory64:
      return std::uint64_t{space.dword(offset + 4)} << 32 | (low & ~std::uint64_t{0xf});
    case kRom:
      return low & ~std::uint64_t{0x7ff};
    default:
      return low & ~std::uint64_t{0xf};
  }
}

void give_bar(Values& values, std::size_t index, std::uint64_t type, std::uint64_t size,
              std::uint64_t address) {
  values.map(fmt::format("bar[{}].type", index), type);
  values.map(fmt::format("bar[{}].size", index), size);
  values.derive(fmt::format("bar[{}].addr", index), address);
}

Result<void> bars_down(const StateTree& state, std::string_view prefix, const ConfigSpace& space,
                       Values& values) {
  for (std::size_t n = 0; n < kBars; ++n) give_bar(values, n, kNone, 0, 0);
  const std::string bars = join(prefix, "bars");
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, state.count(bars));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string bar = fmt::format("{}[{}].", bars, i);
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t index, state.get<std::uint8_t>(bar + "index"));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t kind, state.get<std::uint8_t>(bar + "kind"));
    VMSNAP_ASSIGN_OR_RETURN(const auto size, state.get<std::uint64_t>(bar + "size"));
    if (index >= kBars || !is_bar(kind)) continue;
    give_bar(values, index, kind, size, bar_address(space, index, kind));
    if (kind == kMemory64 && index + 1 < kBars) give_bar(values, index + 1, kUpperHalf, 0, 0);
  }
  return {};
}

void msi_down(const ConfigSpace& space, Values& values) {
  const auto capability = space.capability(ConfigSpace::kMsi);
  const std::uint16_t control = capability ? space.word(*capability + 2) : 0;
  const bool enabled = (control & 0x1) != 0;
  const bool wide = (control & 0x80) != 0;
  const std::size_t at = capability.value_or(0);
  values.derive("msi.enabled", enabled ? 1 : 0);
  values.derive("msi.addr", enabled ? space.dword(at + 4) : 0);
  values.derive("msi.msg_data", enabled ? space.word(at + (wide ? 12 : 8)) : 0);
  values.derive("msi.maxmsgnum", enabled ? std::uint64_t{1} << (control >> 4 & 7) : 0);
}

Result<void> msix_up(const SourceChunk& chunk, Machine& machine, StateTree& state, std::string_view prefix) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t table_count, chunk.number("msix.table_count"));
  VMSNAP_ASSIGN_OR_RETURN(const ByteView space, chunk.bytes("config_space"));
  if (table_count == 0 && !ConfigSpace(space).capability(ConfigSpace::kMsix)) return {};
  const std::uint64_t count = std::min(table_count, kMostVectors);
  const std::string table = join(prefix, "msix.table");
  VMSNAP_RETURN_IF_ERROR(state.make(table));
  VMSNAP_RETURN_IF_ERROR(
      state.set(join(prefix, "msix.pending"), std::vector<std::uint64_t>((count + 63) / 64)));
  for (std::uint64_t n = 0; n < count; ++n) {
    VMSNAP_RETURN_IF_ERROR(state.append(table));
    const std::string entry = fmt::format("[{}].", n);
    VMSNAP_RETURN_IF_ERROR(carry_up(kMsixRows, chunk, "msix.table" + entry, state, table + entry));
  }
  machine.not_in_file({chunk.device_path, join(prefix, "msix.pending"), "no vector is pending",
                       "An interrupt that waited behind a masked vector is lost."});
  return {};
}

Result<void> msix_down(const StateTree& state, std::string_view prefix, const ConfigSpace& space,
                       Values& values) {
  const std::string table = join(prefix, "msix.table");
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, state.count(table));
  values.derive("msix.table_count", count);
  for (std::size_t n = 0; n < count; ++n) {
    const std::string entry = fmt::format("[{}].", n);
    VMSNAP_RETURN_IF_ERROR(carry_down(kMsixRows, state, table + entry, values, "msix.table" + entry));
  }
  const auto capability = space.capability(ConfigSpace::kMsix);
  const std::uint16_t control = capability ? space.word(*capability + 2) : 0;
  const std::uint32_t vectors = capability ? space.dword(*capability + 4) : 0;
  const std::uint32_t pending = capability ? space.dword(*capability + 8) : 0;
  values.derive("msix.enabled", control & 0x8000u);
  values.derive("msix.function_mask", control & 0x4000u);
  values.derive("msix.table_bar", vectors & 7);
  values.derive("msix.table_offset", vectors & ~7u);
  values.derive("msix.pba_bar", pending & 7);
  values.derive("msix.pba_offset", pending & ~7u);
  values.derive("msix.pba_size", (count + 63) / 64 * 8);
  values.derive("msix.pba_page_offset", 0);
  return {};
}

}  // namespace

Result<void> pci_up(const SourceChunk& chunk, Machine& machine, StateTree& state,
                    std::string_view field_prefix) {
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, "", state, field_prefix));
  VMSNAP_RETURN_IF_ERROR(bars_up(chunk, state, field_prefix));
  return msix_up(chunk, machine, state, field_prefix);
}

Result<void> pci_down(const StateTree& state, std::string_view field_prefix, TargetChunk& chunk) {
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, state, field_prefix, chunk.values, ""));
  VMSNAP_ASSIGN_OR_RETURN(const auto bytes, state.get<ByteVector>(join(field_prefix, "config_space")));
  const ConfigSpace space(bytes);
  VMSNAP_RETURN_IF_ERROR(bars_down(state, field_prefix, space, chunk.values));
  msi_down(space, chunk.values);
  return msix_down(state, field_prefix, space, chunk.values);
}

Result<bool> msix_is_enabled(const StateTree& state, std::string_view field_prefix) {
  VMSNAP_ASSIGN_OR_RETURN(const auto bytes, state.get<ByteVector>(join(field_prefix, "config_space")));
  const ConfigSpace space(bytes);
  const auto capability = space.capability(ConfigSpace::kMsix);
  return capability && (space.word(*capability + 2) & 0x8000) != 0;
}

}  // namespace vmsnap::compat::bhyve
