// SPDX-License-Identifier: BSD-2-Clause
#include "platform_fixture.h"

namespace vmsnap::vmm {
namespace {

TEST_F(PlatformTest, BuildsEveryStandardDeviceAtThePathThatItsManifestEntrySays) {
  const std::vector<DeviceSpec> specs = standard_devices({disk()}, true);
  for (const DeviceSpec& spec : specs) {
    const auto added = platform_->add(spec);
    ASSERT_TRUE(added) << added.error().to_string();
  }
  ASSERT_EQ(platform_->devices().size(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const DeviceEntry entry = platform_->devices()[i]->describe();
    EXPECT_EQ(entry.type, specs[i].type);
    EXPECT_EQ(entry.path, specs[i].path);
  }
  EXPECT_NE(platform_->console(), nullptr);
}

TEST_F(PlatformTest, RefusesATypeThatItDoesNotEmulateByName) {
  const auto added = platform_->add({"wormhole", "pci0/00:07.0", std::nullopt});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(added.error().to_string().find("wormhole"), std::string::npos);
}

TEST_F(PlatformTest, RefusesPlacesThatDoNotExistOnThisMachine) {
  for (const char* path : {"isa0/uart@2f8", "isa0/uart@", "isa0/uart@3f8x", "uart", "isa0/uart@99999"}) {
    const auto added = platform_->add({"uart16550", path, std::nullopt});
    ASSERT_FALSE(added) << path;
    EXPECT_EQ(added.error().kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(added.error().device(), path);
  }
}

TEST_F(PlatformTest, RefusesASecondDeviceAtATakenPlace) {
  const DeviceSpec uart{"uart16550", "isa0/uart@3f8", std::nullopt};
  ASSERT_TRUE(platform_->add(uart));
  const auto again = platform_->add(uart);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kCorrupt);
}

TEST_F(PlatformTest, SaysWhichSlotIsMissingItsImageAndHowToGiveAnother) {
  ASSERT_TRUE(platform_->add({"pci_host", "pci0/00:00.0", std::nullopt}));
  DiskBackend missing = disk();
  missing.path = "/nonexistent/disk.img";
  const auto added = platform_->add({"virtio_blk", "pci0/00:03.0", missing});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::kIo);
  EXPECT_NE(added.error().to_string().find("--slot disk0=PATH"), std::string::npos)
      << added.error().to_string();
}

TEST_F(PlatformTest, RefusesADiskWithoutABus) {
  const auto added = platform_->add({"virtio_blk", "pci0/00:03.0", disk()});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::kUnsupported);
}

TEST(MachineConfig, RefusesMoreVirtualCpusThanThisVmmRuns) {
  MachineConfig config;
  config.memory_map = GuestMemory::layout(std::uint64_t{1} << 20);
  config.vcpu_count = kMaxVcpus;
  EXPECT_TRUE(validate(config));
  for (const std::uint32_t count : {0u, kMaxVcpus + 1}) {
    config.vcpu_count = count;
    const auto valid = validate(config);
    ASSERT_FALSE(valid);
    EXPECT_EQ(valid.error().kind(), ErrorKind::kUnsupported);
  }
}

}  // namespace
}  // namespace vmsnap::vmm
