// SPDX-License-Identifier: BSD-2-Clause
// The samples in schema/<type>/samples, converted by flatc: what people are shown as a state of a device is
// one that the device takes over, and saves again as it was. Run by meson, which says where they are.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "acpi_pm_generated.h"
#include "devices/acpi_pm/acpi_pm.h"
#include "devices/i8042/i8042.h"
#include "devices/mc146818/mc146818.h"
#include "devices/pci/pci_host.h"
#include "devices/uart16550/uart16550.h"
#include "i8042_generated.h"
#include "mc146818_generated.h"
#include "pci_host_generated.h"
#include "uart16550_generated.h"
#include "virtio_blk_fixture.h"
#include "virtio_blk_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;

class StalledSink final : public CharacterSink {
 public:
  [[nodiscard]] std::size_t write(ByteView) override { return 0; }
};

template <typename Root>
void expect_round_trip(Device& device, const char* file, const char* identifier) {
  const char* directory = std::getenv("VMSNAP_DEVICE_SAMPLES");
  ASSERT_NE(directory, nullptr) << "VMSNAP_DEVICE_SAMPLES must name the folder of the converted samples";
  std::ifstream stream(std::string(directory) + "/" + file, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  ASSERT_FALSE(bytes.empty()) << file;
  const ByteView state = as_byte_view(bytes);
  const auto result = device.restore(state);
  ASSERT_TRUE(result) << result.error().to_string();
  // Packed by us, since other writers may order the same content differently.
  const auto object = unpacked<Root>(ByteVector(state.begin(), state.end()), identifier);
  EXPECT_EQ(saved(device), *pack_state(object, identifier));
}

class SamplesTest : public ::testing::Test {
 protected:
  FakeIrqLine irq;
  FakePower power;
  FakeClock clock;
  StalledSink sink;
};

TEST_F(SamplesTest, AreTakenOverByTheLegacyDevices) {
  Uart16550 uart(0x3f8, irq, sink);
  expect_round_trip<schema::Uart16550>(uart, "linux-console.bin", "UART");
  expect_round_trip<schema::Uart16550>(uart, "slow-terminal.bin", "UART");
  I8042 keyboard(0x60, irq, power);
  expect_round_trip<schema::I8042>(keyboard, "no-keyboard.bin", "8042");
  Mc146818 rtc(0x70, clock);
  expect_round_trip<schema::Mc146818>(rtc, "utc.bin", "RTC ");
  expect_round_trip<schema::Mc146818>(rtc, "being-set.bin", "RTC ");
  AcpiPm pm(0x600, irq, power, clock);
  expect_round_trip<schema::AcpiPm>(pm, "running.bin", "ACPM");
  expect_round_trip<schema::AcpiPm>(pm, "event-waiting.bin", "ACPM");
}

TEST_F(SamplesTest, AreTakenOverByTheDevicesOnPci) {
  PciHost host;
  expect_round_trip<schema::PciHost>(host, "host-bridge.bin", "PCIH");
  const TemporaryImage image(kSectors);
  const GuestMemory memory = test_memory();
  const Disk disk(memory, image.path());
  expect_round_trip<schema::VirtioBlk>(*disk.device, "msix-disk.bin", "VBLK");
  expect_round_trip<schema::VirtioBlk>(*disk.device, "packed-rings.bin", "VBLK");
}

}  // namespace
}  // namespace vmsnap::vmm
