// SPDX-License-Identifier: BSD-2-Clause
#include "machine/platform.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "machine/end_event.h"
#include "machine/host_clock.h"

namespace vmsnap::vmm {
namespace {

class SilentLine : public IrqLine {
 public:
  void set_level(bool) override {}
};
class SilentMsi : public MsiSink {
 public:
  void send(std::uint64_t, std::uint32_t) override {}
};
class SilentConsole : public CharacterSink {
 public:
  [[nodiscard]] std::size_t write(ByteView bytes) override { return bytes.size(); }
};

class PlatformTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto memory = GuestMemory::allocate(GuestMemory::layout(std::uint64_t{1} << 20));
    ASSERT_TRUE(memory);
    memory_ = std::make_unique<GuestMemory>(std::move(*memory));
    image_ = (std::filesystem::temp_directory_path() / "vmsnap-platform-XXXXXX").string();
    const int fd = ::mkstemp(image_.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    std::filesystem::resize_file(image_, 1 << 20);
    platform_ = std::make_unique<Platform>(PlatformContext{
        *memory_, ports_, mmio_, msi_, [this](std::uint32_t gsi) -> IrqLine& { return lines_[gsi]; }, end_,
        clock_, console_});
  }
  void TearDown() override {
    platform_.reset();
    std::filesystem::remove(image_);
  }

  DiskBackend disk() const { return {"disk0", image_, false, "serial"}; }

  std::unique_ptr<GuestMemory> memory_;
  std::string image_;
  IoBus ports_;
  IoBus mmio_;
  SilentMsi msi_;
  SilentConsole console_;
  std::map<std::uint32_t, SilentLine> lines_;
  EndEvent end_;
  HostClock clock_;
  std::unique_ptr<Platform> platform_;
};

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
