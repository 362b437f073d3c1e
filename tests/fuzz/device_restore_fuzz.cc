// SPDX-License-Identifier: BSD-2-Clause
// Hostile states for every emulated device. A state goes to the device whose identifier it carries (to all of
// them when it carries none). A refused one leaves the device as it was; an accepted one is saved again, and
// the device is then used as a guest would use it.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "core/guest_memory.h"
#include "core/io_bus.h"
#include "devices/acpi_pm/acpi_pm.h"
#include "devices/i8042/i8042.h"
#include "devices/mc146818/mc146818.h"
#include "devices/pci/pci_host.h"
#include "devices/uart16550/uart16550.h"
#include "devices/virtio_blk/virtio_blk.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::vmm;

class NullIrqLine final : public IrqLine {
 public:
  void set_level(bool) override {}
};
class NullMsiSink final : public MsiSink {
 public:
  void send(std::uint64_t, std::uint32_t) override {}
};
class NullPower final : public PowerControl {
 public:
  void request_reset() override {}
  void request_power_off() override {}
};
class StoppedClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const override { return 1; }
  [[nodiscard]] std::int64_t realtime_ns() const override { return 1; }
};
/// Takes every other byte.
class SlowSink final : public CharacterSink {
 public:
  [[nodiscard]] std::size_t write(ByteView bytes) override { return bytes.size() / 2; }
};

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::uint64_t kMemorySize = 0x10000;
/// The capacity in the seed of the disk.
constexpr std::uint64_t kImageSize = 64 * DiskImage::kSectorSize;

GuestMemory make_memory() {
  auto memory = GuestMemory::allocate(GuestMemory::layout(kMemorySize));
  require(memory.has_value());
  return std::move(*memory);
}

DiskImage make_image() {
  const int fd = ::memfd_create("disk", MFD_CLOEXEC);
  require(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(kImageSize)) == 0);
  auto image = DiskImage::open(fmt::format("/proc/self/fd/{}", fd), false);
  require(image.has_value());
  ::close(fd);
  return std::move(*image);
}

struct Machine {
  Machine() {
    auto made = VirtioBlk::create({{3, 0}, "disk0", "", "serial", true}, make_image(), memory, bus, irq, msi);
    require(made.has_value());
    disk = std::move(*made);
    require(host.attach({3, 0}, disk->pci()).has_value());
  }

  /// Touches every register there is.
  void use() {
    std::array<std::byte, 4> value{};
    for (IoHandler* handler :
         {static_cast<IoHandler*>(&uart), &keyboard.data_port(), &keyboard.command_port(),
          static_cast<IoHandler*>(&clock_chip), static_cast<IoHandler*>(&power_chip)}) {
      for (std::uint64_t offset = 0; offset < 16; ++offset) {
        handler->read(offset, std::span(value).first(1));
        handler->write(offset, std::span(value).first(1));
      }
    }
    for (std::uint32_t reg = 0; reg < 256; reg += 4) {
      const std::uint32_t address = 0x8000'1800 + reg;
      host.write(0, std::as_bytes(std::span(&address, 1)));
      host.read(4, value);
      host.write(4, value);
    }
  }

  NullIrqLine irq;
  NullMsiSink msi;
  NullPower power;
  StoppedClock clock;
  SlowSink sink;
  IoBus bus;
  GuestMemory memory = make_memory();
  Uart16550 uart{0x3f8, irq, sink};
  I8042 keyboard{0x60, irq, power};
  Mc146818 clock_chip{0x70, clock};
  AcpiPm power_chip{0x600, irq, power, clock};
  PciHost host;
  std::unique_ptr<VirtioBlk> disk;
};

void feed(Device& device, ByteView state) {
  require(device.quiesce().has_value());
  const auto before = device.save();
  require(before.has_value());
  if (!device.restore(state)) {
    const auto after = device.save();
    require(after.has_value() && *after == *before);
    return;
  }
  // What was accepted must be a state that we write and accept again.
  const auto again = device.save();
  require(again.has_value() && device.restore(*again).has_value());
  require(device.save().value() == *again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView state = as_byte_view(data, size);
  Machine machine;
  const std::array<std::pair<const char*, Device*>, 6> devices = {{{"UART", &machine.uart},
                                                                   {"8042", &machine.keyboard},
                                                                   {"RTC ", &machine.clock_chip},
                                                                   {"ACPM", &machine.power_chip},
                                                                   {"PCIH", &machine.host},
                                                                   {"VBLK", machine.disk.get()}}};
  const std::string identifier =
      size < 8 ? std::string() : std::string(reinterpret_cast<const char*>(data) + 4, 4);
  bool known = false;
  for (const auto& [name, device] : devices) known = known || identifier == name;
  for (const auto& [name, device] : devices) {
    if (known && identifier != name) continue;
    feed(*device, state);
    device->resume();
  }
  machine.use();
  for (const auto& [name, device] : devices) {
    require(device->quiesce().has_value());
    require(device->save().has_value());
  }
  return 0;
}
