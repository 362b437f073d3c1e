// SPDX-License-Identifier: BSD-2-Clause
// What snaptool says that this VMM can take over is what it can.
#include <gmock/gmock.h>

#include <set>

#include "boot/platform.h"
#include "machine/restore.h"
#include "monitors/snapvmm.h"
#include "platform_fixture.h"
#include "versions/versions.h"

namespace vmsnap::vmm {
namespace {

using TakeoverTest = PlatformTest;

/// Parts of KVM, which are no devices of the platform.
bool is_of_kvm(std::string_view type) {
  return type == "x86_cpu" || type == "lapic" ||
         std::find(std::begin(kTypesOfOne), std::end(kTypesOfOne), type) != std::end(kTypesOfOne);
}

std::string first_place(const compat::MonitorDevice& device) {
  std::string path(device.place);
  if (const std::size_t slot = path.find("{slot}"); slot != std::string::npos) path.replace(slot, 6, "03");
  return path;
}

TEST_F(TakeoverTest, EveryDeviceOfTheTableCanBeAddedAtItsPlace) {
  ASSERT_TRUE(platform_->add({"pci_host", "pci0/00:00.0", std::nullopt}));
  std::size_t added = 1;
  for (const compat::MonitorDevice& device : compat::devices_of_snapvmm()) {
    if (is_of_kvm(device.type) || device.type == "pci_host") continue;
    DeviceSpec spec{std::string(device.type), first_place(device), std::nullopt};
    if (device.type == "virtio_blk") spec.disk = disk();
    const auto result = platform_->add(spec);
    EXPECT_TRUE(result) << result.error().to_string();
    ++added;
  }
  EXPECT_EQ(added, 6u);
}

TEST_F(TakeoverTest, EveryOtherTypeIsRefused) {
  for (const ChunkType& type : compat::frozen_device_chunk_types()) {
    if (compat::find_device_of_snapvmm(type.name) != nullptr) continue;
    const auto result = platform_->add({std::string(type.name), "pci0/00:04.0", std::nullopt});
    ASSERT_FALSE(result) << type.name;
    EXPECT_EQ(result.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(result.error().message(), testing::HasSubstr("emulates no device of the type"));
  }
}

TEST_F(TakeoverTest, PlacesThatTheTableDoesNotNameAreRefused) {
  ASSERT_TRUE(platform_->add({"pci_host", "pci0/00:00.0", std::nullopt}));
  const char* const paths[] = {"isa0/uart@2f8", "isa0/i8042@64", "isa0/rtc@72",  "isa0/acpi_pm@400",
                               "pci0/00:00.1",  "pci0/00:20.0",  "pci0/01:03.0", "pci0/00:03.1"};
  for (const compat::MonitorDevice& device : compat::devices_of_snapvmm()) {
    if (is_of_kvm(device.type)) continue;
    for (const char* path : paths) {
      ASSERT_FALSE(compat::is_place_of(device, path, 2)) << device.type << " " << path;
      const auto result = platform_->add({std::string(device.type), path, disk()});
      ASSERT_FALSE(result) << device.type << " " << path;
      EXPECT_EQ(result.error().kind(), ErrorKind::kUnsupported);
    }
  }
}

TEST_F(TakeoverTest, EverySlotOfTheTableIsOneOfThePlatform) {
  const compat::MonitorDevice& blk = *compat::find_device_of_snapvmm("virtio_blk");
  for (std::uint32_t slot = 0; slot < 2 * platform::kPciSlots; ++slot) {
    char path[32];
    std::snprintf(path, sizeof path, "pci0/00:%02x.0", slot);
    EXPECT_EQ(compat::is_place_of(blk, path, 1), slot >= 1 && slot < platform::kPciSlots) << path;
  }
}

TEST(Takeover, PartsOfKvmAreAsManyAsARestoreAsksFor) {
  std::set<std::string_view> of_one;
  for (const compat::MonitorDevice& device : compat::devices_of_snapvmm()) {
    if (device.how_many == compat::HowMany::kOne) of_one.insert(device.type);
    EXPECT_EQ(device.how_many == compat::HowMany::kEachCpu,
              device.type == "x86_cpu" || device.type == "lapic");
  }
  EXPECT_EQ(of_one, std::set<std::string_view>(std::begin(kTypesOfOne), std::end(kTypesOfOne)));
}

TEST(Takeover, TheTableHasTheTypesOfTheNewestReleaseLevel) {
  std::set<std::string_view> of_table;
  for (const compat::MonitorDevice& device : compat::devices_of_snapvmm()) of_table.insert(device.type);
  const std::vector<compat::ReleaseLevel> levels = compat::release_levels();
  std::set<std::string_view> of_level;
  for (const compat::LevelChunk& chunk : levels.back().chunks) of_level.insert(chunk.name);
  EXPECT_EQ(of_table, of_level);
}

}  // namespace
}  // namespace vmsnap::vmm
