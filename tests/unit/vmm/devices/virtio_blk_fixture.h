// SPDX-License-Identifier: BSD-2-Clause
// A virtio disk on a temporary image, with a driver.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio_blk/virtio_blk.h"
#include "devices/virtio_blk/virtio_blk_registers.h"
#include "fakes.h"
#include "virtio_driver.h"

namespace vmsnap::vmm::testing {

/// A file of `sectors` sectors, each filled with its own number plus one.
class TemporaryImage {
 public:
  explicit TemporaryImage(std::size_t sectors) : path_(::testing::TempDir() + "disk.XXXXXX") {
    fd_ = ::mkstemp(path_.data());
    EXPECT_GE(fd_, 0);
    for (std::size_t i = 0; i < sectors; ++i) {
      const std::vector<char> sector(512, static_cast<char>(i + 1));
      EXPECT_EQ(::write(fd_, sector.data(), sector.size()), 512);
    }
  }
  TemporaryImage(const TemporaryImage&) = delete;
  TemporaryImage& operator=(const TemporaryImage&) = delete;
  ~TemporaryImage() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string read(std::size_t offset, std::size_t size) const {
    std::string bytes(size, '\0');
    EXPECT_EQ(::pread(fd_, bytes.data(), size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
    return bytes;
  }
  void truncate(std::size_t size) const { EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(size)), 0); }

 private:
  std::string path_;
  int fd_;
};

inline constexpr std::size_t kSectors = 64;

/// The machine around one disk.
struct Disk {
  explicit Disk(const GuestMemory& memory, const std::string& path, bool read_only = false,
                const std::string& serial = "vmsnap-0001", bool packed_rings = false) {
    auto image = DiskImage::open(path, read_only);
    EXPECT_TRUE(image) << image.error().to_string();
    auto made = VirtioBlk::create({{3, 0}, "disk0", path, serial, packed_rings}, std::move(*image), memory,
                                  bus, irq, msi);
    EXPECT_TRUE(made) << made.error().to_string();
    device = std::move(*made);
    driver = std::make_unique<VirtioDriver>(device->pci(), bus);
  }

  IoBus bus;
  FakeIrqLine irq;
  FakeMsiSink msi;
  std::unique_ptr<VirtioBlk> device;
  std::unique_ptr<VirtioDriver> driver;
};

class VirtioBlkTest : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kQueue = 16;
  static constexpr std::uint64_t kHeader = 0x10000;
  static constexpr std::uint64_t kStatus = 0x11000;
  static constexpr std::uint64_t kData = 0x20000;
  static constexpr std::uint8_t kUntouched = 0xee;

  void start(Disk& on, std::uint64_t features = virtio_blk::kFeatures & ~virtio::kEventIdx) const {
    on.driver->map_bars();
    ASSERT_TRUE(on.driver->negotiate(features));
    on.driver->set_up_queue(0, kQueue, 1);
    on.driver->go();
  }
  /// Publishes a request in descriptors 3n to 3n+2 without telling the device. Data is `size` bytes at
  /// kData + n * 0x1000; 0 leaves it out.
  void submit(std::uint16_t n, std::uint32_t type, std::uint64_t sector, std::uint32_t size,
              bool device_writes) {
    const auto first = static_cast<std::uint16_t>(3 * n);
    ring.put(kHeader + n * 16U, type);
    ring.put(kHeader + n * 16U + 8, sector);
    ring.put(kStatus + n, kUntouched);
    const auto second = static_cast<std::uint16_t>(first + 1);
    const auto third = static_cast<std::uint16_t>(first + 2);
    ring.descriptor(first, kHeader + n * 16U, 16, kNext, size == 0 ? third : second);
    if (size != 0) {
      ring.descriptor(second, data(n), size, static_cast<std::uint16_t>(kNext | (device_writes ? kWrite : 0)),
                      third);
    }
    ring.descriptor(third, kStatus + n, 1, kWrite);
    ring.publish(first);
  }
  [[nodiscard]] static std::uint64_t data(std::uint16_t n) { return kData + n * 0x1000U; }
  [[nodiscard]] std::uint8_t result(std::uint16_t n) const { return ring.get<std::uint8_t>(kStatus + n); }
  [[nodiscard]] bool wait_for(std::uint16_t used) const {
    return eventually([&] { return ring.used_index() == used; });
  }
  /// Submits request 0, tells the device and waits; the status.
  std::uint8_t request(std::uint32_t type, std::uint64_t sector, std::uint32_t size, bool device_writes) {
    const auto before = ring.used_index();
    submit(0, type, sector, size, device_writes);
    disk->driver->notify(0);
    EXPECT_TRUE(wait_for(static_cast<std::uint16_t>(before + 1)));
    return result(0);
  }
  void fill(std::uint64_t address, std::size_t size, char value) const {
    ASSERT_TRUE(memory.write(Gpa(address), as_byte_view(std::string(size, value))));
  }
  [[nodiscard]] std::string guest(std::uint64_t address, std::size_t size) const {
    std::string bytes(size, '\0');
    EXPECT_TRUE(memory.read(Gpa(address), std::as_writable_bytes(std::span(bytes.data(), size))));
    return bytes;
  }

  TemporaryImage image{kSectors};
  GuestMemory memory = test_memory();
  Ring ring{memory, kQueue};
  std::unique_ptr<Disk> disk = std::make_unique<Disk>(memory, image.path());
};

}  // namespace vmsnap::vmm::testing
