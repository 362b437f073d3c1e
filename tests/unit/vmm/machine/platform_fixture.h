// SPDX-License-Identifier: BSD-2-Clause
// A platform around which everything is silent.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "machine/end_event.h"
#include "machine/host_clock.h"
#include "machine/platform.h"

namespace vmsnap::vmm {

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

}  // namespace vmsnap::vmm
