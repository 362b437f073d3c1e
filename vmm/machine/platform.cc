// SPDX-License-Identifier: BSD-2-Clause
#include "machine/platform.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "boot/platform.h"
#include "devices/i8042/i8042.h"
#include "devices/virtio_blk/virtio_blk.h"

namespace vmsnap::vmm {
namespace {

static_assert(AcpiPm::kSleepTypeS5 == platform::kSleepTypeS5, "the device and the DSDT must mean the same");

/// The hexadecimal number behind `prefix`, which makes up the rest of `path`.
std::optional<std::uint16_t> port_of(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), port, 16);
  if (error != std::errc() || end != path.data() + path.size() || path.empty()) return std::nullopt;
  return port;
}

/// The slot of "pci0/00:SS.0".
std::optional<std::uint8_t> slot_of(std::string_view path) {
  for (std::uint8_t slot = 1; slot < platform::kPciSlots; ++slot) {
    if (path == pci_path({slot, 0})) return slot;
  }
  return std::nullopt;
}

Error no_such_place(const DeviceSpec& spec) {
  return Error(ErrorKind::kUnsupported,
               fmt::format("this VMM has no place of that name for a device of the type {}", spec.type))
      .in_device(spec.path);
}

/// A device whose place is taken says so like any other fault of a file: the bus only knows numbers.
Result<void> taken(Result<void> added, std::string_view path) {
  if (added) return {};
  return Error(ErrorKind::kCorrupt, "its place is taken by another device: " + added.error().message())
      .in_device(path);
}

}  // namespace

Result<void> Platform::add(const DeviceSpec& spec) {
  if (spec.type == "uart16550") {
    if (port_of(spec.path, "isa0/uart@") == platform::kCom1Port) return add_uart16550(platform::kCom1Port);
  } else if (spec.type == "i8042") {
    if (port_of(spec.path, "isa0/i8042@") == platform::kI8042DataPort)
      return add_i8042(platform::kI8042DataPort);
  } else if (spec.type == "mc146818") {
    if (port_of(spec.path, "isa0/rtc@") == platform::kRtcPort) return add_mc146818(platform::kRtcPort);
  } else if (spec.type == "acpi_pm") {
    if (port_of(spec.path, "isa0/acpi_pm@") == platform::kAcpiPmPort)
      return add_acpi_pm(platform::kAcpiPmPort);
  } else if (spec.type == "pci_host") {
    if (spec.path == pci_path({0, 0})) return add_pci_host();
  } else if (spec.type == "virtio_blk") {
    if (const auto slot = slot_of(spec.path)) return add_virtio_blk(*slot, spec);
  } else {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("this VMM emulates no device of the type {}", spec.type))
        .in_device(spec.path);
  }
  return no_such_place(spec);
}

Result<void> Platform::add_uart16550(std::uint16_t port) {
  auto uart = std::make_unique<Uart16550>(port, context_.irq_line(platform::kCom1Irq), context_.console);
  VMSNAP_RETURN_IF_ERROR(taken(context_.ports.add(port, Uart16550::kPorts, *uart), uart->describe().path));
  console_ = uart.get();
  devices_.push_back(std::move(uart));
  return {};
}

Result<void> Platform::add_i8042(std::uint16_t port) {
  auto keyboard =
      std::make_unique<I8042>(port, context_.irq_line(platform::kI8042KeyboardIrq), context_.power);
  const std::string path = keyboard->describe().path;
  VMSNAP_RETURN_IF_ERROR(taken(context_.ports.add(port, 1, keyboard->data_port()), path));
  VMSNAP_RETURN_IF_ERROR(
      taken(context_.ports.add(platform::kI8042CommandPort, 1, keyboard->command_port()), path));
  devices_.push_back(std::move(keyboard));
  return {};
}

Result<void> Platform::add_mc146818(std::uint16_t port) {
  auto rtc = std::make_unique<Mc146818>(port, context_.clock, &context_.irq_line(platform::kRtcIrq));
  VMSNAP_RETURN_IF_ERROR(taken(context_.ports.add(port, Mc146818::kPorts, *rtc), rtc->describe().path));
  rtc_ = rtc.get();
  devices_.push_back(std::move(rtc));
  return {};
}

Result<void> Platform::add_acpi_pm(std::uint16_t port) {
  auto pm =
      std::make_unique<AcpiPm>(port, context_.irq_line(platform::kSciIrq), context_.power, context_.clock);
  VMSNAP_RETURN_IF_ERROR(taken(context_.ports.add(port, AcpiPm::kPorts, *pm), pm->describe().path));
  acpi_pm_ = pm.get();
  devices_.push_back(std::move(pm));
  return {};
}

Result<void> Platform::add_pci_host() {
  auto host = std::make_unique<PciHost>();
  VMSNAP_RETURN_IF_ERROR(taken(context_.ports.add(platform::kPciConfigAddressPort, PciHost::kPorts, *host),
                               host->describe().path));
  pci_ = host.get();
  devices_.push_back(std::move(host));
  return {};
}

Result<void> Platform::add_virtio_blk(std::uint8_t slot, const DeviceSpec& spec) {
  if (pci_ == nullptr) {
    return Error(ErrorKind::kUnsupported,
                 "there is no pci_host before it in the list of devices to attach it to")
        .in_device(spec.path);
  }
  if (!spec.disk)
    return Error(ErrorKind::kUnsupported, "a disk without a slot cannot be built").in_device(spec.path);
  const auto here = [&](Error error) { return std::move(error.in_device(spec.path)); };
  auto image = DiskImage::open(spec.disk->path, spec.disk->read_only);
  if (!image) {
    return here(Error(image.error().kind(),
                      fmt::format("the image of {0} cannot be used: {1}; give another with --slot {0}=PATH",
                                  spec.disk->slot, image.error().message()))
                    .in_file(spec.disk->path));
  }
  constexpr std::uint32_t kInta = 1;
  IrqLine& intx = context_.irq_line(platform::pci_intx_gsi(slot, kInta));
  auto disk =
      VirtioBlk::create({{slot, 0}, spec.disk->slot, spec.disk->path, spec.disk->serial, spec.packed_rings},
                        std::move(*image), context_.memory, context_.mmio, intx, context_.msi);
  if (!disk) return here(std::move(disk).error());
  VMSNAP_RETURN_IF_ERROR(taken(pci_->attach({slot, 0}, (*disk)->pci()), spec.path));
  devices_.push_back(std::move(*disk));
  return {};
}

void Platform::advance_clocks(std::int64_t ns) {
  if (rtc_ != nullptr) rtc_->advance(ns);
  if (acpi_pm_ != nullptr) acpi_pm_->advance(ns);
}

}  // namespace vmsnap::vmm
