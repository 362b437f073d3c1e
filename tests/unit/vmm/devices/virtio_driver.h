// SPDX-License-Identifier: BSD-2-Clause
// A guest's driver for a virtio PCI device, as far as tests need one. It finds everything through the
// capabilities, as a real driver does.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <thread>

#include "core/io_bus.h"
#include "devices/pci/pci_function.h"
#include "devices/pci/pci_registers.h"
#include "devices/virtio/virtio_registers.h"
#include "ring.h"

namespace vmsnap::vmm::testing {

class VirtioDriver {
 public:
  static constexpr std::uint32_t kBar0 = 0xd000'0000;
  static constexpr std::uint32_t kBar1 = 0xd001'0000;

  VirtioDriver(PciConfigHandler& pci, const IoBus& bus) : pci_(pci), bus_(bus) { find_structures(); }

  template <typename T>
  [[nodiscard]] T config(std::size_t offset) const {
    T value = 0;
    pci_.config_read(static_cast<std::uint8_t>(offset), std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void config(std::size_t offset, T value) const {
    pci_.config_write(static_cast<std::uint8_t>(offset), std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  [[nodiscard]] T mmio(std::uint64_t address) const {
    T value = 0;
    bus_.read(address, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void mmio(std::uint64_t address, T value) const {
    bus_.write(address, std::as_bytes(std::span(&value, 1)));
  }

  struct Structure {
    std::uint8_t capability;
    std::uint8_t bar;
    std::uint32_t offset;
    std::uint32_t length;
  };
  [[nodiscard]] const std::map<std::uint8_t, Structure>& structures() const { return structures_; }
  [[nodiscard]] std::uint64_t common(std::size_t offset) const {
    return kBar0 + structures_.at(virtio::kCapCommon).offset + offset;
  }
  [[nodiscard]] std::uint64_t device(std::size_t offset) const {
    return kBar0 + structures_.at(virtio::kCapDevice).offset + offset;
  }
  [[nodiscard]] std::uint64_t isr() const { return kBar0 + structures_.at(virtio::kCapIsr).offset; }

  void map_bars() const {
    config<std::uint32_t>(pci::kBars, kBar0);
    config<std::uint32_t>(pci::kBars + 4, kBar1);
    config<std::uint16_t>(pci::kCommand, pci::kCommandMemory | pci::kCommandBusMaster);
  }
  [[nodiscard]] std::uint8_t status() const { return mmio<std::uint8_t>(common(virtio::kDeviceStatus)); }
  void set_status(std::uint8_t status) const { mmio(common(virtio::kDeviceStatus), status); }
  [[nodiscard]] std::uint64_t offered() const {
    std::uint64_t features = 0;
    for (std::uint32_t half = 0; half < 2; ++half) {
      mmio(common(virtio::kDeviceFeatureSelect), half);
      features |= std::uint64_t{mmio<std::uint32_t>(common(virtio::kDeviceFeature))} << (32 * half);
    }
    return features;
  }
  void accept(std::uint64_t features) const {
    for (std::uint32_t half = 0; half < 2; ++half) {
      mmio(common(virtio::kDriverFeatureSelect), half);
      mmio(common(virtio::kDriverFeature), static_cast<std::uint32_t>(features >> (32 * half)));
    }
  }
  /// Steps 1 to 6 of 3.1.1; true when the device agreed.
  [[nodiscard]] bool negotiate(std::uint64_t features) const {
    set_status(0);
    set_status(virtio::kAcknowledge);
    set_status(virtio::kAcknowledge | virtio::kDriver);
    accept(features);
    set_status(virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk);
    return (status() & virtio::kFeaturesOk) != 0;
  }
  void set_up_queue(std::uint16_t index, std::uint16_t size, std::uint16_t vector) const {
    mmio(common(virtio::kQueueSelect), index);
    mmio(common(virtio::kQueueSize), size);
    mmio(common(virtio::kQueueMsixVector), vector);
    mmio(common(virtio::kQueueDesc),
         static_cast<std::uint32_t>(Ring::kDescriptors));  // in halves, as Linux does
    mmio(common(virtio::kQueueDesc) + 4, std::uint32_t{0});
    mmio(common(virtio::kQueueDriver), Ring::kAvailable);
    mmio(common(virtio::kQueueDevice), Ring::kUsed);
    mmio(common(virtio::kQueueEnable), std::uint16_t{1});
  }
  void go() const { set_status(0x0f); }
  void notify(std::uint16_t index) const {
    mmio(kBar0 + structures_.at(virtio::kCapNotify).offset + index * std::uint64_t{virtio::kNotifyMultiplier},
         index);
  }
  void enable_msix(std::uint16_t vectors) const {
    for (std::uint16_t i = 0; i < vectors; ++i) {
      mmio<std::uint64_t>(kBar1 + i * 16U, 0xfee0'0000);
      mmio<std::uint64_t>(kBar1 + i * 16U + 8, 0x40U + i);  // data, and unmasked
    }
    config<std::uint16_t>(msix_ + 2U, pci::kMsixEnable);
  }

 private:
  void find_structures() {
    for (std::uint8_t at = config<std::uint8_t>(pci::kCapabilitiesPointer); at != 0;
         at = config<std::uint8_t>(at + 1U)) {
      if (config<std::uint8_t>(at) == pci::kCapabilityMsix) msix_ = at;
      if (config<std::uint8_t>(at) != pci::kCapabilityVendor) continue;
      structures_[config<std::uint8_t>(at + 3U)] = {
          at, config<std::uint8_t>(at + 4U), config<std::uint32_t>(at + 8U), config<std::uint32_t>(at + 12U)};
    }
  }

  PciConfigHandler& pci_;
  const IoBus& bus_;
  std::map<std::uint8_t, Structure> structures_;
  std::uint8_t msix_ = 0;
};

/// Waits up to ten seconds for `condition`.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

}  // namespace vmsnap::vmm::testing
