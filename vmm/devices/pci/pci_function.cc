// SPDX-License-Identifier: BSD-2-Clause
#include "devices/pci/pci_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/checked.h"
#include "devices/pci/pci_registers.h"

namespace vmsnap::vmm {

using namespace pci;

std::string pci_path(PciAddress address) {
  return fmt::format("pci0/00:{:02x}.{:x}", address.device, address.function);
}

template <typename T>
void PciFunction::put(std::size_t offset, T value, T writable) {
  store_le(MutableByteView(config_), offset, value);
  store_le(MutableByteView(writable_), offset, writable);
}

PciFunction::PciFunction(const Identity& identity, IoBus* memory, IoBus* io, IrqLine* intx)
    : memory_(memory), io_(io), intx_(intx), next_free_(kFirstCapability) {
  put<std::uint16_t>(kVendorId, identity.vendor);
  put<std::uint16_t>(kDeviceId, identity.device);
  put<std::uint16_t>(kCommand, 0, kCommandBusMaster | kCommandParity | kCommandSerr | kCommandIntxDisable);
  put<std::uint32_t>(kRevisionAndClass, identity.class_code << 8 | identity.revision);
  put<std::uint8_t>(kCacheLineSize, 0, 0xff);
  put<std::uint8_t>(kLatencyTimer, 0, 0xff);
  put<std::uint16_t>(kSubsystemVendorId, identity.subsystem_vendor);
  put<std::uint16_t>(kSubsystemId, identity.subsystem);
  put<std::uint8_t>(kInterruptLine, 0, 0xff);
  put<std::uint8_t>(kInterruptPin, identity.interrupt_pin);
}

PciFunction::~PciFunction() {
  unmap_all();
}

void PciFunction::add_bar(std::uint8_t index, BarKind kind, std::uint64_t size, IoHandler& handler) {
  assert(std::has_single_bit(size) && size <= 0x8000'0000 && index < 6);
  assert(bars_.empty() || bars_.back().index < index);
  const std::size_t offset = kBars + std::size_t{index} * 4;
  const auto address_bits = static_cast<std::uint32_t>(~(size - 1));
  switch (kind) {
    case BarKind::kIo:
      put<std::uint32_t>(offset, kBarIo, address_bits);
      writable_[kCommand] |= std::byte{kCommandIo};
      break;
    case BarKind::kMemory64:
      put<std::uint32_t>(offset, kBarMemory64, address_bits);
      put<std::uint32_t>(offset + 4, 0, 0xffff'ffff);
      writable_[kCommand] |= std::byte{kCommandMemory};
      break;
    case BarKind::kMemory32:
      put<std::uint32_t>(offset, 0, address_bits);
      writable_[kCommand] |= std::byte{kCommandMemory};
      break;
  }
  bars_.push_back({index, kind, size, &handler, std::nullopt});
}

std::uint8_t PciFunction::add_capability(std::uint8_t id, ByteView body, ByteView writable) {
  const std::uint8_t offset = next_free_;
  assert(offset + 2 + body.size() <= config_.size());
  assert(writable.empty() || writable.size() == body.size());
  put<std::uint8_t>(offset, id);
  put<std::uint8_t>(offset + 1U, 0);
  std::copy(body.begin(), body.end(), config_.begin() + offset + 2);
  std::copy(writable.begin(), writable.end(), writable_.begin() + offset + 2);
  // The list keeps the order in which capabilities are added.
  put<std::uint8_t>(last_capability_ == 0 ? kCapabilitiesPointer : last_capability_ + std::size_t{1}, offset);
  config_[kStatus] |= std::byte{kStatusCapabilities};
  last_capability_ = offset;
  next_free_ = static_cast<std::uint8_t>(align_up<std::size_t>(offset + 2 + body.size(), 4));
  return offset;
}

void PciFunction::add_msix(std::uint16_t vectors, MsiSink& sink, std::uint8_t bar, std::uint32_t table_offset,
                           std::uint32_t pba_offset) {
  std::array<std::byte, 10> body{};
  std::array<std::byte, 10> writable{};
  store_le<std::uint16_t>(MutableByteView(body), 0, static_cast<std::uint16_t>(vectors - 1));
  store_le<std::uint16_t>(MutableByteView(writable), 0, kMsixEnable | kMsixFunctionMask);
  store_le<std::uint32_t>(MutableByteView(body), 2, table_offset | bar);
  store_le<std::uint32_t>(MutableByteView(body), 6, pba_offset | bar);
  msix_capability_ = add_capability(kCapabilityMsix, body, writable);
  msix_.emplace(vectors, sink);
}

std::uint16_t PciFunction::command() const {
  return load_le<std::uint16_t>(config_, kCommand);
}

std::pair<bool, bool> PciFunction::msix_control() const {
  const auto control = load_le<std::uint16_t>(config_, msix_capability_ + std::size_t{2});
  return {(control & kMsixEnable) != 0, (control & kMsixFunctionMask) != 0};
}

std::array<std::byte, 256> PciFunction::image() const {
  std::array<std::byte, 256> image = config_;
  if (intx_asserted_) image[kStatus] |= std::byte{kStatusInterrupt};
  return image;
}

void PciFunction::config_read(std::uint8_t offset, MutableByteView data) const {
  const auto bytes = image();
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = offset + i < bytes.size() ? bytes[offset + i] : std::byte{0xff};
  }
}

void PciFunction::config_write(std::uint8_t offset, ByteView data) {
  for (std::size_t i = 0; i < data.size() && offset + i < config_.size(); ++i) {
    const std::byte mask = writable_[offset + i];
    std::byte& target = config_[offset + i];
    target = (target & ~mask) | (data[i] & mask);
  }
  update_mappings();
  update_pin();
  if (msix_) {
    const auto [enabled, masked] = msix_control();
    msix_->set_control(enabled, masked);
  }
}

std::uint64_t PciFunction::programmed_address(const Bar& bar) const {
  const std::size_t offset = kBars + std::size_t{bar.index} * 4;
  std::uint64_t value = load_le<std::uint32_t>(config_, offset);
  if (bar.kind == BarKind::kMemory64)
    value |= std::uint64_t{load_le<std::uint32_t>(config_, offset + 4)} << 32;
  return value & ~(bar.size - 1);
}

bool PciFunction::decode_enabled(const Bar& bar) const {
  return (command() & (bar.kind == BarKind::kIo ? kCommandIo : kCommandMemory)) != 0;
}

// All ranges that move leave before the first one arrives: a guest may swap two BARs.
void PciFunction::update_mappings() {
  const auto wanted = [this](const Bar& bar) -> std::optional<std::uint64_t> {
    const std::uint64_t address = programmed_address(bar);
    if (!decode_enabled(bar) || address == 0) return std::nullopt;
    return address;
  };
  for (Bar& bar : bars_) {
    if (!bar.mapped_at || bar.mapped_at == wanted(bar)) continue;
    bus_of(bar)->remove(*bar.mapped_at);
    bar.mapped_at.reset();
  }
  for (Bar& bar : bars_) {
    const auto address = wanted(bar);
    if (!address || bar.mapped_at) continue;
    // A BAR on top of someone else's range is not decoded: the guest is in error, or is just sizing it.
    if (bus_of(bar)->add(*address, bar.size, *bar.handler)) bar.mapped_at = address;
  }
}

void PciFunction::unmap_all() {
  for (Bar& bar : bars_) {
    if (bar.mapped_at) bus_of(bar)->remove(*bar.mapped_at);
    bar.mapped_at.reset();
  }
}

std::optional<std::uint64_t> PciFunction::decoded_at(std::uint8_t index) const {
  for (const Bar& bar : bars_) {
    if (bar.index == index) return bar.mapped_at;
  }
  return std::nullopt;
}

void PciFunction::set_intx(bool asserted) {
  intx_asserted_ = asserted;
  update_pin();
}

void PciFunction::update_pin() {
  const bool level = intx_asserted_ && (command() & kCommandIntxDisable) == 0;
  if (level == pin_level_ || intx_ == nullptr) return;
  pin_level_ = level;
  intx_->set_level(level);
}

void PciFunction::resume() {
  if (intx_ != nullptr) intx_->set_level(pin_level_);
  if (msix_) msix_->deliver_pending();
}

}  // namespace vmsnap::vmm
