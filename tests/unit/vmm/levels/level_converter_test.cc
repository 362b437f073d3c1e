// SPDX-License-Identifier: BSD-2-Clause
// Real devices, saved for older releases and restored from what those wrote.
#include "levels/level_converter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "devices/acpi_pm/acpi_pm.h"
#include "devices/i8042/i8042.h"
#include "devices/mc146818/mc146818.h"
#include "devices/pci/pci_host.h"
#include "devices/uart16550/uart16550.h"
#include "fakes.h"
#include "migrate/state_tree.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

ByteVector read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  EXPECT_FALSE(bytes.empty()) << path;
  const ByteView view = as_byte_view(bytes);
  return {view.begin(), view.end()};
}

/// The emulated devices of a machine, without the machine.
struct Devices {
  [[nodiscard]] std::vector<Device*> all() { return {&uart, &keyboard, &rtc, &pm, &host}; }
  [[nodiscard]] SnapshotContents contents() {
    SnapshotContents result;
    result.manifest.producer_name = "level_converter_test";
    for (Device* device : all()) {
      EXPECT_TRUE(device->quiesce());
      DeviceEntry entry = device->describe();
      entry.instance = static_cast<std::uint32_t>(result.manifest.devices.size());
      result.manifest.devices.push_back(std::move(entry));
      result.device_states.push_back(saved(*device));
    }
    return result;
  }

  FakeIrqLine irq;
  FakePower power;
  FakeClock clock;
  FakeSink sink;
  Uart16550 uart{0x3f8, irq, sink};
  I8042 keyboard{0x60, irq, power};
  Mc146818 rtc{0x70, clock};
  AcpiPm pm{0x600, irq, power, clock};
  PciHost host;
};

class LevelConverterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    devices_.clock.monotonic += 1'234'567'890;
    out<std::uint8_t>(devices_.uart, 2, 0x01);  // FIFOs on
    for (const std::uint8_t c : {'h', 'i'}) out<std::uint8_t>(devices_.uart, 0, c);
    EXPECT_EQ(devices_.uart.receive(as_byte_view("input")), 5U);
    out<std::uint8_t>(devices_.rtc, 0, 0x40);
    out<std::uint8_t>(devices_.rtc, 1, 0x77);
  }

  Devices devices_;
  const std::unique_ptr<StateConverter> converter_ = make_state_converter();
};

TEST_F(LevelConverterTest, KnowsFeaturesByLevelAndType) {
  EXPECT_GE(converter_->current_level(), 2);
  EXPECT_FALSE(converter_->knows(1, "acpi_pm", "gpe0"));
  EXPECT_TRUE(converter_->knows(2, "acpi_pm", "gpe0"));
  EXPECT_FALSE(converter_->knows(1, "uart16550", "transmit-fifo"));
  EXPECT_TRUE(converter_->knows(2, "uart16550", "transmit-fifo"));
  EXPECT_FALSE(converter_->knows(2, "uart16550", "gpe0"));
  EXPECT_FALSE(converter_->knows(2, "wormhole", "gpe0"));
  EXPECT_FALSE(converter_->knows(0, "acpi_pm", "gpe0"));
  EXPECT_FALSE(converter_->knows(99, "acpi_pm", "gpe0"));
}

TEST_F(LevelConverterTest, KnowsEveryLevelFromOneToItsOwn) {
  for (std::uint16_t level = 1; level <= converter_->current_level(); ++level) {
    EXPECT_TRUE(converter_->check_level(level));
  }
  for (const int level : {0, converter_->current_level() + 1, 99, 65535}) {
    const auto refused = converter_->check_level(static_cast<std::uint16_t>(level));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(refused.error().message(), HasSubstr("release level " + std::to_string(level)));
    SnapshotContents contents = devices_.contents();
    EXPECT_FALSE(converter_->bring_to_level(static_cast<std::uint16_t>(level), contents.manifest,
                                            contents.device_states));
  }
}

TEST_F(LevelConverterTest, WritesForLevelOneWhatItsReleaseWrote) {
  SnapshotContents contents = devices_.contents();
  const auto types = converter_->bring_to_level(1, contents.manifest, contents.device_states);
  ASSERT_TRUE(types) << types.error().to_string();
  const File file = test::memory_file({});
  const auto written = write_snapshot(file, contents, *types, {});
  ASSERT_TRUE(written) << written.error().to_string();
  auto reader = SnapshotReader::open(test::memory_file(test::read_whole(file)));
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(reader->manifest().release_level, 1);
  unsigned count = 0;
  for (const DeviceEntry& entry : reader->manifest().devices) {
    SCOPED_TRACE(entry.path);
    EXPECT_EQ(entry.version, (ChunkVersion{1, 0}));
    EXPECT_EQ(entry.readable_since, (ChunkVersion{1, 0}));
    EXPECT_TRUE(entry.features.empty());
    const ByteVector frozen =
        read_file(std::string(VMSNAP_SCHEMA_ROOT) + "/" + entry.type + "/frozen/v1.0.bfbs");
    const EmbeddedSchema* const schema = reader->schema_of(reader->device_chunk(entry.instance));
    ASSERT_NE(schema, nullptr);
    EXPECT_EQ(reader->schema_body(*schema).value(), frozen);
    const auto model = reflect::SchemaModel::load(frozen);
    ASSERT_TRUE(model);
    const auto tree = compat::StateTree::decode(*model, reader->device_state(entry.instance).value());
    ASSERT_TRUE(tree) << tree.error().to_string();
    EXPECT_TRUE(tree->unknown().empty());
    ++count;
  }
  EXPECT_EQ(count, devices_.all().size());
}

TEST_F(LevelConverterTest, LosesNothingOnTheWayToLevelOneAndBack) {
  const SnapshotContents before = devices_.contents();
  SnapshotContents contents = devices_.contents();
  ASSERT_TRUE(converter_->bring_to_level(1, contents.manifest, contents.device_states));
  Devices others;
  const std::vector<Device*> fresh = others.all();
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    DeviceEntry& entry = contents.manifest.devices[i];
    SCOPED_TRACE(entry.path);
    const auto upgraded = converter_->upgrade(entry, contents.device_states[i]);
    ASSERT_TRUE(upgraded) << upgraded.error().to_string();
    EXPECT_EQ(entry.version, before.manifest.devices[i].version);
    const auto restored = fresh[i]->restore(contents.device_states[i]);
    ASSERT_TRUE(restored) << restored.error().to_string();
    EXPECT_EQ(saved(*fresh[i]), before.device_states[i]);
  }
}

TEST_F(LevelConverterTest, RefusesByNameWhatLevelOneCannotExpressAndChangesNothing) {
  out<std::uint16_t>(devices_.pm, 14, 0x0006);
  devices_.pm.signal_event(1);
  devices_.sink.room = 0;
  for (const std::uint8_t c : {'o', 'k'}) out<std::uint8_t>(devices_.uart, 0, c);
  SnapshotContents contents = devices_.contents();
  const SnapshotContents before = devices_.contents();
  const auto refused = converter_->bring_to_level(1, contents.manifest, contents.device_states);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(refused.error().to_string(),
              AllOf(HasSubstr("isa0/acpi_pm@600.gpe0_status = 0x2"), HasSubstr("never hears of"),
                    HasSubstr("isa0/acpi_pm@600.gpe0_enable = 0x6"), HasSubstr("isa0/uart@3f8.transmit_fifo"),
                    HasSubstr("is never sent"), HasSubstr("snaptool migrate")));
  EXPECT_EQ(contents.manifest, before.manifest);
  EXPECT_EQ(contents.device_states, before.device_states);
  // The guest goes on: its console gets what waited.
  devices_.sink.room = 10;
  for (Device* device : devices_.all()) device->resume();
  EXPECT_EQ(devices_.sink.text, "hiok");
}

TEST_F(LevelConverterTest, UpgradesTheSamplesOfLevelOneToStatesThatTheDevicesTake) {
  const char* folder = std::getenv("VMSNAP_LEVEL1_SAMPLES");
  ASSERT_NE(folder, nullptr) << "VMSNAP_LEVEL1_SAMPLES must name the folder of the converted samples";
  Devices fresh;
  const std::vector<std::pair<Device*, std::string>> cases = {
      {&fresh.pm, "running.bin"}, {&fresh.rtc, "utc.bin"}, {&fresh.uart, "linux-console.bin"}};
  for (const auto& [device, file] : cases) {
    SCOPED_TRACE(file);
    DeviceEntry entry = device->describe();
    const ChunkVersion current = entry.version;
    entry.version = entry.readable_since = {1, 0};
    ByteVector state = read_file(std::string(folder) + "/" + file);
    const auto upgraded = converter_->upgrade(entry, state);
    ASSERT_TRUE(upgraded) << upgraded.error().to_string();
    EXPECT_EQ(entry.version, current);
    const auto restored = device->restore(state);
    ASSERT_TRUE(restored) << restored.error().to_string();
  }
  out<std::uint8_t>(fresh.rtc, 0, 0x04);
  EXPECT_EQ(in<std::uint8_t>(fresh.rtc, 1), 0x12) << "hours";
  EXPECT_EQ(in<std::uint8_t>(fresh.uart, 0), 'l');
  EXPECT_EQ(in<std::uint16_t>(fresh.pm, 2), 288);
}

TEST_F(LevelConverterTest, RefusesToUpgradeWhatNoReleaseWrote) {
  const DeviceEntry good = devices_.rtc.describe();
  ByteVector state = saved(devices_.rtc);
  DeviceEntry entry = good;
  entry.version = {9, 0};
  auto refused = converter_->upgrade(entry, state);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  entry = good;
  entry.type = "wormhole";
  refused = converter_->upgrade(entry, state);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  entry = good;
  entry.version = {1, 0};
  entry.readable_since = {1, 0};
  ByteVector garbage(40, std::byte{0x55});
  refused = converter_->upgrade(entry, garbage);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kCorrupt) << refused.error().to_string();
  EXPECT_EQ(garbage, ByteVector(40, std::byte{0x55}));
}

}  // namespace
}  // namespace vmsnap::vmm
