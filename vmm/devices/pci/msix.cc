// SPDX-License-Identifier: BSD-2-Clause
#include "devices/pci/msix.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/state_buffer.h"
#include "pci_generated.h"

namespace vmsnap::vmm {

namespace {

constexpr std::size_t kAddress = 0;
constexpr std::size_t kUpperAddress = 4;
constexpr std::size_t kData = 8;
constexpr std::size_t kVectorControl = 12;
constexpr std::uint32_t kMaskBit = 1;
/// Message Address is a multiple of four.
constexpr std::uint64_t kAddressBits = ~std::uint64_t{3};

bool allowed(std::uint64_t offset, std::size_t size, std::uint64_t limit) {
  return (size == 4 || size == 8) && offset % size == 0 && offset + size <= limit;
}

}  // namespace

Msix::Msix(std::uint16_t vectors, MsiSink& sink) : sink_(sink) {
  state_.table.resize(vectors);
  state_.pending.resize((vectors + std::size_t{63}) / 64);
}

void Msix::read_table(std::uint64_t offset, MutableByteView data) const {
  std::fill(data.begin(), data.end(), std::byte{0});
  if (!allowed(offset, data.size(), table_size())) return;
  const Entry& entry = state_.table[offset / kEntrySize];
  std::array<std::byte, kEntrySize> image;
  store_le(MutableByteView(image), kAddress, entry.address);
  store_le(MutableByteView(image), kData, entry.data);
  store_le(MutableByteView(image), kVectorControl, entry.vector_control);
  const ByteView part = ByteView(image).subspan(offset % kEntrySize, data.size());
  std::copy(part.begin(), part.end(), data.begin());
}

void Msix::write_table(std::uint64_t offset, ByteView data) {
  if (!allowed(offset, data.size(), table_size())) return;
  const std::size_t vector = offset / kEntrySize;
  Entry& entry = state_.table[vector];
  for (std::size_t i = 0; i < data.size(); i += 4) {
    const auto value = load_le<std::uint32_t>(data, i);
    switch (offset % kEntrySize + i) {
      case kAddress:
        entry.address = ((entry.address & 0xffff'ffff'0000'0000) | value) & kAddressBits;
        break;
      case kUpperAddress:
        entry.address = (entry.address & 0xffff'ffff) | std::uint64_t{value} << 32;
        break;
      case kData:
        entry.data = value;
        break;
      default:
        entry.vector_control = value & kMaskBit;
        break;
    }
  }
  if (is_pending(vector)) deliver_pending();
}

void Msix::read_pba(std::uint64_t offset, MutableByteView data) const {
  std::fill(data.begin(), data.end(), std::byte{0});
  if (!allowed(offset, data.size(), pba_size())) return;
  const ByteView bytes = std::as_bytes(std::span(state_.pending)).subspan(offset, data.size());
  std::copy(bytes.begin(), bytes.end(), data.begin());
}

void Msix::set_control(bool enabled, bool function_masked) {
  enabled_ = enabled;
  function_masked_ = function_masked;
  deliver_pending();
}

void Msix::raise(std::uint16_t vector) {
  if (!enabled_ || vector >= vectors()) return;
  const Entry& entry = state_.table[vector];
  if (function_masked_ || entry.masked()) {
    set_pending(vector, true);
    return;
  }
  sink_.send(entry.address, entry.data);
}

void Msix::deliver_pending() {
  if (!enabled_ || function_masked_) return;
  for (std::uint16_t vector = 0; vector < vectors(); ++vector) {
    if (!is_pending(vector) || state_.table[vector].masked()) continue;
    set_pending(vector, false);
    sink_.send(state_.table[vector].address, state_.table[vector].data);
  }
}

bool Msix::is_pending(std::size_t vector) const {
  return (state_.pending[vector / 64] >> (vector % 64) & 1) != 0;
}

void Msix::set_pending(std::size_t vector, bool pending) {
  const std::uint64_t bit = std::uint64_t{1} << (vector % 64);
  std::uint64_t& word = state_.pending[vector / 64];
  word = pending ? word | bit : word & ~bit;
}

schema::PciMsixT Msix::save() const {
  schema::PciMsixT state;
  for (const Entry& entry : state_.table) {
    auto item = std::make_unique<schema::PciMsixEntryT>();
    item->address = entry.address;
    item->data = entry.data;
    item->vector_control = entry.vector_control;
    state.table.push_back(std::move(item));
  }
  state.pending = state_.pending;
  return state;
}

Result<Msix::State> Msix::validate(const schema::PciMsixT& state) const {
  if (state.table.size() != state_.table.size()) {
    return corrupt_field("pci.msix.table",
                         fmt::format("the table has {} entries, but the configuration space says {}",
                                     state.table.size(), state_.table.size()));
  }
  if (state.pending.size() != state_.pending.size()) {
    return corrupt_field("pci.msix.pending",
                         fmt::format("{} words of pending bits do not fit a table of {} vectors",
                                     state.pending.size(), state_.table.size()));
  }
  State result;
  for (const auto& item : state.table) {
    if ((item->address & ~kAddressBits) != 0) {
      return corrupt_field("pci.msix.table.address",
                           fmt::format("{:#x} is not a multiple of 4", item->address));
    }
    if ((item->vector_control & ~kMaskBit) != 0) {
      return corrupt_field("pci.msix.table.vector_control",
                           fmt::format("{:#x} has bits set that always read as 0", item->vector_control));
    }
    result.table.push_back({item->address, item->data, item->vector_control});
  }
  const std::size_t used_bits = state.table.size() % 64;
  if (used_bits != 0 && state.pending.back() >> used_bits != 0) {
    return corrupt_field("pci.msix.pending", "a vector is pending that the table does not have");
  }
  result.pending = state.pending;
  return result;
}

void Msix::assign(State state, bool enabled, bool function_masked) {
  state_ = std::move(state);
  enabled_ = enabled;
  function_masked_ = function_masked;
}

}  // namespace vmsnap::vmm
