// SPDX-License-Identifier: BSD-2-Clause
// Source: PCI Local Bus Specification 3.0, section 3.2.2.3.2 (configuration mechanism #1).
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "core/device.h"
#include "core/io_handler.h"
#include "devices/pci/pci_function.h"

namespace vmsnap::vmm {

/// The host bridge: bus 0 with its configuration ports, and function 00:00.0. IoHandler of the 8 ports from
/// CONFIG_ADDRESS (CF8h) on.
class PciHost final : public Device, public IoHandler, private PciConfigHandler {
 public:
  static constexpr std::uint64_t kPorts = 8;

  PciHost();

  /// Puts a function on bus 0; it must outlive the accesses to it. All of them come before virtual CPUs
  /// run. Errors: InvalidState when the place is taken or does not exist.
  [[nodiscard]] Result<void> attach(PciAddress address, PciConfigHandler& function);

  void read(std::uint64_t offset, MutableByteView data) override;
  void write(std::uint64_t offset, ByteView data) override;

  [[nodiscard]] DeviceEntry describe() const override;
  [[nodiscard]] Result<ByteVector> save() const override;
  [[nodiscard]] Result<void> restore(ByteView state) override;

 private:
  void config_read(std::uint8_t offset, MutableByteView data) override;
  void config_write(std::uint8_t offset, ByteView data) override;

  struct Target {
    PciConfigHandler* function;
    std::uint8_t offset;
  };
  /// The register behind CONFIG_DATA + `offset`; no function when the address selects none.
  [[nodiscard]] Target target(std::uint64_t offset, std::size_t size) const;

  mutable std::mutex mutex_;
  std::uint32_t config_address_ = 0;
  PciFunction bridge_;
  std::array<PciConfigHandler*, 256> functions_{};  // by device * 8 + function
};

}  // namespace vmsnap::vmm
