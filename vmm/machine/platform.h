// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/device.h"
#include "core/guest_memory.h"
#include "core/io_bus.h"
#include "core/io_handler.h"
#include "devices/acpi_pm/acpi_pm.h"
#include "devices/mc146818/mc146818.h"
#include "devices/pci/pci_host.h"
#include "devices/uart16550/uart16550.h"
#include "machine/machine_config.h"

namespace vmsnap::vmm {

/// What the devices need of the machine around them; everything must outlive the platform.
struct PlatformContext {
  const GuestMemory& memory;
  IoBus& ports;
  IoBus& mmio;
  MsiSink& msi;
  /// The wire to a global system interrupt; the same object for the same number.
  std::function<IrqLine&(std::uint32_t gsi)> irq_line;
  PowerControl& power;
  const Clock& clock;
  CharacterSink& console;
};

/// The emulated devices of a machine, on their buses. This is the one place that knows which device types
/// exist and where each may stand; `run` and `restore` both build through it.
class Platform {
 public:
  explicit Platform(const PlatformContext& context) : context_(context) {}
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  /// Makes a device and puts it on its bus. Errors: Unsupported (a type or place this VMM does not emulate),
  /// Corrupt (the place is taken), Io and Usage (the backend of a disk).
  [[nodiscard]] Result<void> add(const DeviceSpec& spec);

  /// In the order they were added.
  [[nodiscard]] const std::vector<std::unique_ptr<Device>>& devices() const { return devices_; }

  /// The device behind the terminal; null when the machine has none.
  [[nodiscard]] Uart16550* console() const { return console_; }

  /// Moves the clocks that run in emulated devices on by `ns` (the advance policy of a restore). Call between
  /// the devices' restore() and resume().
  void advance_clocks(std::int64_t ns);

 private:
  [[nodiscard]] Result<void> add_uart16550(std::uint16_t port);
  [[nodiscard]] Result<void> add_i8042(std::uint16_t port);
  [[nodiscard]] Result<void> add_mc146818(std::uint16_t port);
  [[nodiscard]] Result<void> add_acpi_pm(std::uint16_t port);
  [[nodiscard]] Result<void> add_pci_host();
  [[nodiscard]] Result<void> add_virtio_blk(std::uint8_t slot, const DeviceSpec& spec);

  PlatformContext context_;
  std::vector<std::unique_ptr<Device>> devices_;
  Uart16550* console_ = nullptr;
  Mc146818* rtc_ = nullptr;
  AcpiPm* acpi_pm_ = nullptr;
  PciHost* pci_ = nullptr;
};

}  // namespace vmsnap::vmm
