// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio_blk/virtio_blk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "virtio_blk_fixture.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;
using namespace virtio_blk;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(VirtioBlkTest, IsAModernVirtioBlockDevice) {
  const VirtioDriver& driver = *disk->driver;
  EXPECT_EQ(driver.config<std::uint32_t>(pci::kVendorId), 0x1042'1af4U);
  EXPECT_EQ(driver.config<std::uint8_t>(pci::kRevisionAndClass), 1);
  EXPECT_EQ(driver.config<std::uint8_t>(pci::kInterruptPin), 1);
  for (const std::uint8_t type :
       {virtio::kCapCommon, virtio::kCapNotify, virtio::kCapIsr, virtio::kCapDevice}) {
    ASSERT_EQ(driver.structures().count(type), 1U) << int{type};
    EXPECT_EQ(driver.structures().at(type).bar, 0);
  }
  EXPECT_EQ(driver.structures().count(virtio::kCapPci), 1U);
  EXPECT_EQ(driver.structures().at(virtio::kCapCommon).length, 56U);
}

TEST_F(VirtioBlkTest, OffersWhatItDoes) {
  disk->driver->map_bars();
  EXPECT_EQ(disk->driver->offered(), kFeatures);
  EXPECT_EQ(disk->driver->mmio<std::uint16_t>(disk->driver->common(virtio::kNumQueues)), 1);
  EXPECT_EQ(disk->driver->mmio<std::uint16_t>(disk->driver->common(virtio::kQueueSize)), 256);
  EXPECT_EQ(disk->driver->mmio<std::uint64_t>(disk->driver->device(kCapacity)), kSectors);
  EXPECT_EQ(disk->driver->mmio<std::uint32_t>(disk->driver->device(kSegMax)), 254U);
  EXPECT_EQ(disk->driver->mmio<std::uint32_t>(disk->driver->device(kBlkSize)), 512U);
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->device(virtio_blk::kWriteback)), 1);
  EXPECT_EQ(disk->driver->mmio<std::uint32_t>(disk->driver->device(kConfigSize)), 0U);
}

TEST_F(VirtioBlkTest, AgreesOnlyToFeaturesThatItOffered) {
  disk->driver->map_bars();
  EXPECT_FALSE(disk->driver->negotiate(kFeatures | std::uint64_t{1} << 14));
  EXPECT_FALSE(disk->driver->negotiate(kFeatures & ~virtio::kVersion1));  // a legacy driver
  disk->driver->set_status(0x0f);
  EXPECT_EQ(disk->driver->status() & virtio::kDriverOk, 0);
  EXPECT_TRUE(disk->driver->negotiate(virtio::kVersion1));
  disk->driver->accept(kFeatures);  // too late
  EXPECT_EQ(disk->driver->mmio<std::uint32_t>(disk->driver->common(virtio::kDriverFeature)), 1U);
}

TEST_F(VirtioBlkTest, ReadsSectorsIntoScatteredBuffers) {
  start(*disk);
  ring.put<std::uint32_t>(kHeader, kIn);
  ring.put<std::uint64_t>(kHeader + 8, 5);
  // The header in two parts, the data in three, the status at the end of the last of them.
  ring.descriptor(0, kHeader, 8, kNext, 1);
  ring.descriptor(1, kHeader + 8, 8, kNext, 2);
  ring.descriptor(2, kData, 100, kNext | kWrite, 3);
  ring.descriptor(3, kData + 0x1000, 900, kNext | kWrite, 4);
  ring.descriptor(4, kData + 0x2000, 25, kWrite);
  ring.publish(0);
  disk->driver->notify(0);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(guest(kData, 100), std::string(100, 6));
  EXPECT_EQ(guest(kData + 0x1000, 900), std::string(412, 6) + std::string(488, 7));
  EXPECT_EQ(guest(kData + 0x2000, 25), std::string(24, 7) + '\0');
  EXPECT_EQ(ring.used(0), (Ring::Used{0, 1025}));
}

TEST_F(VirtioBlkTest, WritesAndFlushes) {
  start(*disk);
  fill(data(0), 1024, 'w');
  EXPECT_EQ(request(kOut, kSectors - 2, 1024, false), kOk);
  EXPECT_EQ(request(kFlush, 0, 0, false), kOk);
  EXPECT_EQ(image.read((kSectors - 2) * 512, 1024), std::string(1024, 'w'));
  EXPECT_EQ(image.read((kSectors - 3) * 512, 512), std::string(512, kSectors - 2));
  EXPECT_EQ(ring.used(0).written, 1U);
}

TEST_F(VirtioBlkTest, TellsItsSerial) {
  start(*disk);
  EXPECT_EQ(request(kGetId, 0, 20, true), kOk);
  EXPECT_EQ(guest(data(0), 20), std::string("vmsnap-0001") + std::string(9, '\0'));
  EXPECT_EQ(ring.used(0).written, 21U);
}

TEST_F(VirtioBlkTest, TakesRequestsThroughIndirectTables) {
  start(*disk);
  const std::uint64_t table = 0x30000;
  ring.put<std::uint32_t>(kHeader, kIn);
  ring.put<std::uint64_t>(kHeader + 8, 1);
  ring.descriptor(0, kHeader, 16, kNext, 1, table);
  for (std::uint16_t i = 1; i <= 64; ++i) {
    ring.descriptor(i, kData + i * 8U, 8, kNext | kWrite, static_cast<std::uint16_t>(i + 1), table);
  }
  ring.descriptor(65, kStatus, 1, kWrite, 0, table);
  ring.descriptor(0, table, 66 * 16, kIndirect);
  ring.publish(0);
  disk->driver->notify(0);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(result(0), kOk);
  EXPECT_EQ(guest(kData + 8, 512), std::string(512, 2));
}

TEST_F(VirtioBlkTest, AnswersBadRequestsWithAnErrorAndGoesOn) {
  start(*disk);
  EXPECT_EQ(request(kIn, kSectors, 512, true), kIoError);
  EXPECT_EQ(request(kIn, kSectors - 1, 1024, true), kIoError);
  EXPECT_EQ(request(kIn, ~std::uint64_t{0}, 512, true), kIoError);
  EXPECT_EQ(request(kIn, 0, 100, true), kIoError);
  EXPECT_EQ(request(kIn, 0, 0, true), kIoError);
  EXPECT_EQ(request(kOut, kSectors, 512, false), kIoError);
  EXPECT_EQ(request(kOut, 0, 511, false), kIoError);
  EXPECT_EQ(request(99, 0, 512, true), virtio_blk::kUnsupported);
  EXPECT_EQ(image.read(0, 512), std::string(512, 1));
  EXPECT_EQ(request(kIn, 0, 512, true), kOk);
  EXPECT_EQ(disk->driver->status(), 0x0f);
}

TEST_F(VirtioBlkTest, ReportsAnImageThatHasBecomeShorter) {
  start(*disk);
  image.truncate(512 * 8);
  EXPECT_EQ(request(kIn, 7, 1024, true), kIoError);
  EXPECT_EQ(request(kIn, 7, 512, true), kOk);
}

TEST_F(VirtioBlkTest, ProtectsAReadOnlyDisk) {
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path(), true);
  disk->driver->map_bars();
  EXPECT_EQ(disk->driver->offered(), kFeatures | kFeatureReadOnly);
  start(*disk, kFeatures & ~virtio::kEventIdx);
  fill(data(0), 512, 'w');
  EXPECT_EQ(request(kOut, 0, 512, false), kIoError);
  EXPECT_EQ(request(kFlush, 0, 0, false), kOk);
  EXPECT_EQ(request(kIn, 0, 512, true), kOk);
  EXPECT_TRUE(disk->device->describe().slots.at(0).read_only);
}

TEST_F(VirtioBlkTest, SendsItsVectorThroughMsix) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  start(*disk);
  EXPECT_EQ(request(kIn, 0, 512, true), kOk);
  ASSERT_TRUE(eventually([this] { return !disk->msi.messages().empty(); }));
  EXPECT_THAT(disk->msi.messages(), Each(FakeMsiSink::Message{0xfee0'0000, 0x41}));
  EXPECT_FALSE(disk->irq.level());
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->isr()), 0);
}

TEST_F(VirtioBlkTest, FallsBackToItsPin) {
  start(*disk);
  EXPECT_EQ(request(kIn, 0, 512, true), kOk);
  ASSERT_TRUE(eventually([this] { return disk->irq.level(); }));
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->isr()), virtio::kIsrQueue);
  EXPECT_FALSE(disk->irq.level());
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->isr()), 0);
  EXPECT_THAT(disk->msi.messages(), IsEmpty());
}

TEST_F(VirtioBlkTest, AsksForAResetWhenTheGuestBreaksTheQueue) {
  start(*disk);
  ring.descriptor(0, kHeader, 16, kNext, 0);  // a loop
  ring.publish(0);
  disk->driver->notify(0);
  ASSERT_TRUE(eventually([this] { return (disk->driver->status() & virtio::kNeedsReset) != 0; }));
  EXPECT_TRUE(eventually([this] { return disk->irq.level(); }));
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->isr()), virtio::kIsrConfig);
  EXPECT_EQ(ring.used_index(), 0);

  ring.set_available_index(0);
  start(*disk);
  EXPECT_EQ(disk->driver->status(), 0x0f);
  EXPECT_EQ(request(kIn, 0, 512, true), kOk);
}

TEST_F(VirtioBlkTest, AsksForAResetWhenARequestHasNoPlaceForItsStatus) {
  start(*disk);
  ring.descriptor(0, kHeader, 16);
  ring.publish(0);
  disk->driver->notify(0);
  EXPECT_TRUE(eventually([this] { return (disk->driver->status() & virtio::kNeedsReset) != 0; }));
}

TEST_F(VirtioBlkTest, DoesNothingBeforeTheDriverIsReady) {
  disk->driver->map_bars();
  ASSERT_TRUE(disk->driver->negotiate(virtio::kVersion1));
  disk->driver->set_up_queue(0, kQueue, 1);
  submit(0, kIn, 0, 512, true);
  disk->driver->notify(0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ring.used_index(), 0);
  disk->driver->go();
  EXPECT_TRUE(wait_for(1));
}

TEST_F(VirtioBlkTest, LetsTheDriverTurnTheWriteCacheOff) {
  start(*disk, kFeatures & ~(virtio::kEventIdx | kFeatureConfigWce));
  const std::uint64_t writeback = disk->driver->device(virtio_blk::kWriteback);
  disk->driver->mmio<std::uint8_t>(writeback, 0);
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(writeback), 1);  // not negotiated
  ring.set_available_index(0);
  start(*disk);
  disk->driver->mmio<std::uint8_t>(writeback, 0);
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(writeback), 0);
  fill(data(0), 512, 't');
  EXPECT_EQ(request(kOut, 3, 512, false), kOk);
  EXPECT_EQ(image.read(3 * 512, 512), std::string(512, 't'));
  disk->driver->set_status(0);
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(writeback), 1);
}

TEST_F(VirtioBlkTest, ReachesItsStructuresThroughConfigurationSpace) {
  start(*disk);
  const auto capability = disk->driver->structures().at(virtio::kCapPci).capability;
  const auto point_at = [&](std::uint64_t address, std::uint32_t length) {
    disk->driver->config<std::uint8_t>(capability + 4U, 0);
    disk->driver->config<std::uint32_t>(capability + 8U,
                                        static_cast<std::uint32_t>(address - VirtioDriver::kBar0));
    disk->driver->config<std::uint32_t>(capability + 12U, length);
  };
  point_at(disk->driver->device(kCapacity), 4);
  EXPECT_EQ(disk->driver->config<std::uint32_t>(capability + 16U), kSectors);
  point_at(disk->driver->common(virtio::kDeviceStatus), 1);
  EXPECT_EQ(disk->driver->config<std::uint8_t>(capability + 16U), 0x0f);
  disk->driver->config<std::uint8_t>(capability + 16U, 0);
  EXPECT_EQ(disk->driver->status(), 0);
  point_at(VirtioDriver::kBar0 + 0x10000, 4);
  EXPECT_EQ(disk->driver->config<std::uint32_t>(capability + 16U), 0U);
}

TEST_F(VirtioBlkTest, NeverWaitsForAKickThatEventIndexLeftOut) {
  start(*disk, kFeatures);
  ring.set_used_event(0xffff);
  // The driver of 2.7.10: it notifies only when the device asked for the entry it has just added.
  std::uint16_t kicks = 0;
  for (std::uint16_t i = 0; i < 500; ++i) {
    ring.descriptor(0, kHeader, 16, kNext, 1);
    ring.descriptor(1, kStatus, 1, kWrite);
    ring.put<std::uint32_t>(kHeader, kFlush);
    ring.publish(0);
    if (ring.available_event() == i) {
      disk->driver->notify(0);
      ++kicks;
    }
    ASSERT_TRUE(wait_for(static_cast<std::uint16_t>(i + 1)));
  }
  EXPECT_GT(kicks, 0);
}

TEST_F(VirtioBlkTest, StartsNothingBetweenQuiesceAndResume) {
  start(*disk);
  for (std::uint16_t n = 0; n < 5; ++n) submit(n, kIn, n, 512, true);
  disk->driver->notify(0);
  ASSERT_TRUE(disk->device->quiesce());
  const std::uint16_t done = ring.used_index();
  for (std::uint16_t n = 0; n < done; ++n) EXPECT_EQ(result(n), kOk);
  for (std::uint16_t n = done; n < 5; ++n) EXPECT_EQ(result(n), kUntouched);
  disk->driver->notify(0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ring.used_index(), done);
  disk->device->resume();
  ASSERT_TRUE(wait_for(5));
  for (std::uint16_t n = 0; n < 5; ++n)
    EXPECT_EQ(guest(data(n), 512), std::string(512, static_cast<char>(n + 1)));
}

TEST_F(VirtioBlkTest, ServesRequestsWhoseKickWasLostInTheSnapshot) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  start(*disk, kFeatures);
  EXPECT_EQ(request(kIn, 9, 512, true), kOk);
  ASSERT_TRUE(disk->device->quiesce());
  ring.set_used_event(1);         // the driver wants to hear of the next one
  submit(1, kIn, 20, 512, true);  // no kick
  const ByteVector state = saved(*disk->device);
  disk.reset();  // gives the image free

  disk = std::make_unique<Disk>(memory, image.path());
  ASSERT_TRUE(disk->device->restore(state));
  EXPECT_EQ(saved(*disk->device), state);
  EXPECT_EQ(ring.used_index(), 1);
  disk->device->resume();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(guest(data(1), 512), std::string(512, 21));
  ASSERT_TRUE(eventually([this] { return !disk->msi.messages().empty(); }));
  EXPECT_THAT(disk->msi.messages(), Each(FakeMsiSink::Message{0xfee0'0000, 0x41}));
  EXPECT_EQ(request(kIn, 3, 512, true), kOk);  // BARs, vectors and queue are where they were
}

TEST_F(VirtioBlkTest, HoldsItsPinUpAcrossARestore) {
  start(*disk);
  EXPECT_EQ(request(kIn, 9, 512, true), kOk);
  ASSERT_TRUE(eventually([this] { return disk->irq.level(); }));
  ASSERT_TRUE(disk->device->quiesce());
  const ByteVector state = saved(*disk->device);
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path());
  ASSERT_TRUE(disk->device->restore(state));
  EXPECT_TRUE(disk->irq.level());
  disk->device->resume();
  EXPECT_TRUE(disk->irq.level());
  EXPECT_EQ(disk->driver->mmio<std::uint8_t>(disk->driver->isr()), virtio::kIsrQueue);
  EXPECT_FALSE(disk->irq.level());
}

TEST_F(VirtioBlkTest, SurvivesResetsAmidRequests) {
  for (int round = 0; round < 200; ++round) {
    ring.set_available_index(0);
    start(*disk);
    for (std::uint16_t n = 0; n < 5; ++n) submit(n, n % 2 == 0 ? kIn : kFlush, n, n % 2 == 0 ? 512 : 0, true);
    disk->driver->notify(0);
    disk->driver->set_status(0);
    const std::uint16_t used = ring.used_index();
    EXPECT_LE(used, 5);
    EXPECT_EQ(disk->driver->status(), 0);
  }
}

TEST_F(VirtioBlkTest, ServesRequestsWhileOtherProcessorsUseItsRegisters) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  start(*disk);
  std::atomic<bool> stop{false};
  const auto hammer = [&](auto access) {
    return std::thread([&stop, access] {
      while (!stop) access();
    });
  };
  std::thread threads[] = {
      hammer([&] { (void)disk->driver->status(); }),
      hammer([&] { (void)disk->driver->mmio<std::uint8_t>(disk->driver->isr()); }),
      hammer([&] { disk->driver->mmio<std::uint32_t>(VirtioDriver::kBar1 + 16 + 12, 0); }),
      hammer([&] {
        disk->driver->config<std::uint16_t>(pci::kCommand, pci::kCommandMemory | pci::kCommandBusMaster);
      }),
  };
  for (int i = 0; i < 300; ++i) EXPECT_EQ(request(kIn, static_cast<std::uint64_t>(i % 60), 512, true), kOk);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(disk->msi.messages(), Not(IsEmpty()));
}

TEST_F(VirtioBlkTest, DescribesItsSlot) {
  const DeviceEntry entry = disk->device->describe();
  EXPECT_EQ(entry.path, "pci0/00:03.0");
  EXPECT_EQ(entry.type, "virtio_blk");
  ASSERT_EQ(entry.slots.size(), 1U);
  EXPECT_EQ(entry.slots[0], (Slot{"disk0", SlotKind::kBlockBackend, image.path(), kSectors * 512, false}));
}

TEST_F(VirtioBlkTest, RefusesASerialThatDoesNotFit) {
  disk.reset();
  IoBus bus;
  FakeIrqLine irq;
  FakeMsiSink msi;
  const auto made = VirtioBlk::create({{3, 0}, "disk0", "", "123456789012345678901", false},
                                      *DiskImage::open(image.path(), false), memory, bus, irq, msi);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kUsage);
}

TEST_F(VirtioBlkTest, TakesASerialOfFullLength) {
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path(), false, "12345678901234567890");
  start(*disk);
  EXPECT_EQ(request(kGetId, 0, 20, true), kOk);
  EXPECT_EQ(guest(data(0), 20), "12345678901234567890");
}

TEST(DiskImage, BelongsToOneWriterOrManyReaders) {
  const TemporaryImage image(4);
  {
    const auto writer = DiskImage::open(image.path(), false);
    ASSERT_TRUE(writer);
    for (const bool read_only : {false, true}) {
      const auto second = DiskImage::open(image.path(), read_only);
      ASSERT_FALSE(second);
      EXPECT_EQ(second.error().kind(), ErrorKind::kIo);
      EXPECT_NE(second.error().message().find("another virtual machine"), std::string::npos);
      EXPECT_EQ(second.error().file(), image.path());
    }
  }
  const auto reader = DiskImage::open(image.path(), true);
  ASSERT_TRUE(reader);
  EXPECT_TRUE(DiskImage::open(image.path(), true));
  EXPECT_FALSE(DiskImage::open(image.path(), false));
}

TEST(DiskImage, RefusesWhatIsNotARawImage) {
  const TemporaryImage image(4);
  EXPECT_EQ(DiskImage::open(image.path() + ".missing", false).error().kind(), ErrorKind::kIo);
  image.truncate(1000);
  EXPECT_EQ(DiskImage::open(image.path(), false).error().kind(), ErrorKind::kUsage);
  image.truncate(0);
  EXPECT_EQ(DiskImage::open(image.path(), false).error().kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace vmsnap::vmm
