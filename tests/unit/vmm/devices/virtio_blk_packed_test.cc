// SPDX-License-Identifier: BSD-2-Clause
// A virtio disk whose driver uses packed rings: what it does, and what it takes over from a snapshot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <thread>

#include "packed_ring_driver.h"
#include "virtio_blk_fixture.h"
#include "virtio_blk_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;
using namespace virtio_blk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Element = PackedRingDriver::Element;
using Used = PackedRingDriver::Used;

class VirtioBlkPackedTest : public VirtioBlkTest {
 protected:
  static constexpr std::uint16_t kPackedSize = 12;
  static constexpr std::uint64_t kPackedFeatures = kFeatures | virtio::kRingPacked;
  static constexpr std::uint64_t kTable = 0x30000;
  using State = schema::VirtioBlkT;

  VirtioBlkPackedTest() {
    disk.reset();  // gives the image free
    disk = make_disk();
  }
  [[nodiscard]] std::unique_ptr<Disk> make_disk(bool offered = true) const {
    return std::make_unique<Disk>(memory, image.path(), false, "vmsnap-0001", offered);
  }
  void start_packed(std::uint64_t features = kPackedFeatures & ~virtio::kEventIdx) {
    disk->driver->map_bars();
    ASSERT_TRUE(disk->driver->negotiate(features));
    disk->driver->set_up_queue(0, kPackedSize, 1);
    disk->driver->go();
  }
  /// The elements of request `n`, as VirtioBlkTest::submit() places them.
  std::vector<Element> prepare(std::uint16_t n, std::uint32_t type, std::uint64_t sector, std::uint32_t size,
                               bool device_writes) {
    ring.put(kHeader + n * 16U, type);
    ring.put(kHeader + n * 16U + 8, sector);
    ring.put(kStatus + n, kUntouched);
    std::vector<Element> elements = {{kHeader + n * 16U, 16}};
    if (size != 0) elements.push_back({data(n), size, device_writes ? kWrite : std::uint16_t{0}});
    elements.push_back({kStatus + n, 1, kWrite});
    return elements;
  }
  [[nodiscard]] Used wait_for_used() {
    std::optional<Used> used;
    EXPECT_TRUE(eventually([&] { return (used = packed.take_used()).has_value(); }));
    return used.value_or(Used{});
  }
  std::uint8_t request_packed(std::uint32_t type, std::uint64_t sector, std::uint32_t size,
                              bool device_writes) {
    packed.publish(prepare(0, type, sector, size, device_writes), 0);
    disk->driver->notify(0);
    EXPECT_EQ(wait_for_used().id, 0);
    return result(0);
  }
  ByteVector suspended() {
    EXPECT_TRUE(disk->device->quiesce());
    ByteVector state = saved(*disk->device);
    disk.reset();
    return state;
  }
  void restore(const ByteVector& state, bool offered = true) {
    disk = make_disk(offered);
    const auto restored = disk->device->restore(state);
    ASSERT_TRUE(restored) << restored.error().to_string();
    EXPECT_EQ(saved(*disk->device), state);
  }
  /// The state of a disk in use, whose ring has gone round.
  State good() {
    start_packed(kPackedFeatures);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(request_packed(kIn, 0, 512, true), kOk);
    EXPECT_TRUE(disk->device->quiesce());
    return unpacked<schema::VirtioBlk>(saved(*disk->device), "VBLK");
  }
  static ByteVector packed_bytes(const State& state) { return *pack_state(state, "VBLK"); }
  void refused(const State& state, ErrorKind kind, std::string_view field,
               const std::function<void(State&)>& change) {
    State bad = state;
    change(bad);
    expect_refused(*disk->device, packed_bytes(bad), kind, field);
  }

  PackedRingDriver packed{memory, kPackedSize};
};

TEST_F(VirtioBlkPackedTest, OffersPackedRingsOnlyWhenTheMachineDoes) {
  disk->driver->map_bars();
  EXPECT_EQ(disk->driver->offered(), kPackedFeatures);
  disk.reset();
  disk = make_disk(false);
  disk->driver->map_bars();
  EXPECT_EQ(disk->driver->offered(), kFeatures);
  EXPECT_FALSE(disk->driver->negotiate(kPackedFeatures));
}

TEST_F(VirtioBlkPackedTest, ReadsWritesAndFlushes) {
  start_packed();
  EXPECT_EQ(request_packed(kIn, 5, 1024, true), kOk);
  EXPECT_EQ(guest(data(0), 1024), std::string(512, 6) + std::string(512, 7));
  fill(data(0), 1024, 'w');
  EXPECT_EQ(request_packed(kOut, kSectors - 2, 1024, false), kOk);
  EXPECT_EQ(request_packed(kFlush, 0, 0, false), kOk);
  EXPECT_EQ(image.read((kSectors - 2) * 512, 1024), std::string(1024, 'w'));
  EXPECT_EQ(request_packed(kIn, kSectors, 512, true), kIoError);
  EXPECT_EQ(disk->driver->status(), 0x0f);
}

TEST_F(VirtioBlkPackedTest, ServesManyRequestsAtOnceAcrossTheEndOfTheRing) {
  start_packed();
  for (int round = 0; round < 50; ++round) {
    for (std::uint16_t n = 0; n < 4; ++n) packed.publish(prepare(n, kIn, n, 512, true), n);
    disk->driver->notify(0);
    for (std::uint16_t n = 0; n < 4; ++n) {
      EXPECT_EQ(wait_for_used(), (Used{n, 513, true}));
      EXPECT_EQ(result(n), kOk);
      EXPECT_EQ(guest(data(n), 512), std::string(512, static_cast<char>(n + 1)));
    }
    EXPECT_EQ(request_packed(kFlush, 0, 0, false), kOk);  // moves the next round on by two
  }
}

TEST_F(VirtioBlkPackedTest, TakesRequestsThroughIndirectTables) {
  start_packed();
  ring.put<std::uint32_t>(kHeader, kIn);
  ring.put<std::uint64_t>(kHeader + 8, 1);
  packed.descriptor(kTable, 0, {kHeader, 16}, 0);
  for (std::uint16_t i = 1; i <= 64; ++i) packed.descriptor(kTable, i, {kData + i * 8U, 8, kWrite}, 0);
  packed.descriptor(kTable, 65, {kStatus, 1, kWrite}, 0);
  packed.publish({{kTable, 66 * 16, kIndirect}}, 9);
  disk->driver->notify(0);
  EXPECT_EQ(wait_for_used(), (Used{9, 513, true}));
  EXPECT_EQ(result(0), kOk);
  EXPECT_EQ(guest(kData + 8, 512), std::string(512, 2));
}

TEST_F(VirtioBlkPackedTest, NeverWaitsForAKickThatEventSuppressionLeftOut) {
  start_packed(kPackedFeatures);
  packed.set_events(kEventsOff);
  int kicks = 0;
  for (int i = 0; i < 500; ++i) {
    packed.publish(prepare(0, kFlush, 0, 0, false), 0);
    if (packed.wants_kick()) {
      disk->driver->notify(0);
      ++kicks;
    }
    EXPECT_EQ(wait_for_used().id, 0);
  }
  EXPECT_GT(kicks, 0);
}

TEST_F(VirtioBlkPackedTest, InterruptsWhenTheDescriptorIsUsedThatTheDriverNamed) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  start_packed(kPackedFeatures);
  packed.set_events(kEventsOff);
  EXPECT_EQ(request_packed(kFlush, 0, 0, false), kOk);
  // The third of the requests that follow; the disk is quiet when it has been quiesced.
  packed.set_events(kEventsAt, packed.advanced(packed.used(), 4));
  for (const std::size_t messages : {0U, 0U, 1U, 1U}) {
    EXPECT_EQ(request_packed(kFlush, 0, 0, false), kOk);
    ASSERT_TRUE(disk->device->quiesce());
    EXPECT_EQ(disk->msi.messages().size(), messages);
    disk->device->resume();
  }
  EXPECT_THAT(disk->msi.messages(), ElementsAre(FakeMsiSink::Message{0xfee0'0000, 0x41}));
}

TEST_F(VirtioBlkPackedTest, AsksForAResetWhenTheGuestBreaksTheRing) {
  start_packed();
  for (std::uint16_t i = 0; i < kPackedSize; ++i) {
    packed.descriptor(PackedRingDriver::kRing, i, {kHeader, 16, kAvailableBit | kNext}, 0);
  }
  disk->driver->notify(0);
  ASSERT_TRUE(eventually([this] { return (disk->driver->status() & virtio::kNeedsReset) != 0; }));
  EXPECT_FALSE(packed.take_used());

  for (std::uint16_t i = 0; i < kPackedSize; ++i) packed.descriptor(PackedRingDriver::kRing, i, {0, 0, 0}, 0);
  start_packed();
  EXPECT_EQ(request_packed(kIn, 0, 512, true), kOk);
}

TEST_F(VirtioBlkPackedTest, AsksForAResetWhenAQueueEnabledTooEarlyDoesNotFitPackedRings) {
  disk->driver->map_bars();
  disk->driver->set_status(0);
  disk->driver->set_up_queue(0, 8, 1);
  disk->driver->set_status(virtio::kAcknowledge | virtio::kDriver);
  disk->driver->accept(kPackedFeatures);
  disk->driver->set_status(virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk);
  EXPECT_EQ(disk->driver->status() & virtio::kNeedsReset, 0);  // this one fits

  disk->driver->set_status(0);
  disk->driver->mmio(disk->driver->common(virtio::kQueueDriver), Ring::kAvailable + 2);
  disk->driver->mmio(disk->driver->common(virtio::kQueueEnable), std::uint16_t{1});
  disk->driver->accept(kPackedFeatures);
  disk->driver->set_status(virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk);
  EXPECT_NE(disk->driver->status() & virtio::kNeedsReset, 0);
}

TEST_F(VirtioBlkPackedTest, TakesSizesThatAreNoPowerOfTwoOnlyForPackedRings) {
  const std::uint64_t size = disk->driver->common(virtio::kQueueSize);
  disk->driver->map_bars();
  ASSERT_TRUE(disk->driver->negotiate(kFeatures));
  disk->driver->mmio<std::uint16_t>(size, 12);
  EXPECT_EQ(disk->driver->mmio<std::uint16_t>(size), 256);
  ASSERT_TRUE(disk->driver->negotiate(kPackedFeatures));
  disk->driver->mmio<std::uint16_t>(size, 12);
  EXPECT_EQ(disk->driver->mmio<std::uint16_t>(size), 12);
  for (const std::uint16_t bad : {std::uint16_t{0}, std::uint16_t{257}}) {
    disk->driver->mmio<std::uint16_t>(size, bad);
    EXPECT_EQ(disk->driver->mmio<std::uint16_t>(size), 12);
  }
}

TEST_F(VirtioBlkPackedTest, GoesBackToSplitRingsAfterAReset) {
  start_packed();
  EXPECT_EQ(request_packed(kIn, 0, 512, true), kOk);
  disk->driver->set_status(0);
  fill(PackedRingDriver::kRing, 0x1000, '\0');
  start(*disk);
  EXPECT_EQ(request(kIn, 3, 512, true), kOk);
  EXPECT_EQ(guest(data(0), 512), std::string(512, 4));
}

TEST_F(VirtioBlkPackedTest, DoesTheSameWithSplitAndWithPackedRings) {
  struct Outcome {
    std::uint8_t status;
    std::uint32_t written;
    std::string bytes;
    bool operator==(const Outcome&) const = default;
  };
  const auto run = [&](const std::function<std::uint32_t(const std::vector<Element>&)>& serve) {
    std::mt19937 random(7);
    std::vector<Outcome> outcomes;
    for (int i = 0; i < 400; ++i) {
      const std::uint32_t type = std::array{kIn, kOut, kFlush, kGetId, 77U}.at(random() % 5);
      const auto size =
          static_cast<std::uint32_t>(random() % 7 == 0 ? random() % 1000 : 512 * (random() % 4));
      fill(data(0), 2048, static_cast<char>(random()));
      const auto elements = prepare(0, type, random() % (kSectors + 4), size, type != kOut);
      const std::uint32_t written = serve(elements);
      outcomes.push_back({result(0), written, guest(data(0), 2048)});
    }
    outcomes.push_back({0, 0, image.read(0, kSectors * 512)});
    // The image as it was.
    for (std::size_t sector = 0; sector < kSectors; ++sector) {
      fill(data(0), 512, static_cast<char>(sector + 1));
      (void)serve(prepare(0, kOut, sector, 512, false));
    }
    return outcomes;
  };

  start_packed();
  const auto with_packed = run([this](const std::vector<Element>& elements) {
    packed.publish(elements, 0);
    disk->driver->notify(0);
    return wait_for_used().written;
  });
  disk->driver->set_status(0);
  fill(PackedRingDriver::kRing, 0x1000, '\0');
  start(*disk);
  const auto with_split = run([this](const std::vector<Element>& elements) {
    const std::uint16_t before = ring.used_index();
    for (std::uint16_t i = 0; i < elements.size(); ++i) {
      const bool last = i + 1U == elements.size();
      const auto flags = static_cast<std::uint16_t>(elements[i].flags | (last ? 0 : kNext));
      ring.descriptor(i, elements[i].address, elements[i].length, flags, static_cast<std::uint16_t>(i + 1));
    }
    ring.publish(0);
    disk->driver->notify(0);
    EXPECT_TRUE(wait_for(static_cast<std::uint16_t>(before + 1)));
    return ring.used(before).written;
  });
  EXPECT_EQ(with_packed, with_split);
}

TEST_F(VirtioBlkPackedTest, GoesOnInTheMiddleOfTheRingAfterARestore) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  start_packed(kPackedFeatures);
  // Eight restores at all kinds of places, each with requests waiting whose kick was lost in the snapshot.
  for (std::uint16_t round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    EXPECT_EQ(request_packed(kIn, 9, 512, true), kOk);
    ASSERT_TRUE(disk->device->quiesce());
    packed.set_events(kEventsAt, packed.advanced(packed.used(), 3));  // the second of the two
    packed.publish(prepare(1, kIn, 20U + round, 512, true), 1);
    packed.publish(prepare(2, kIn, 30U + round, 512, true), 2);
    restore(suspended(), round % 2 == 0);
    EXPECT_FALSE(packed.take_used());
    disk->device->resume();
    EXPECT_EQ(wait_for_used(), (Used{1, 513, true}));
    EXPECT_EQ(wait_for_used(), (Used{2, 513, true}));
    EXPECT_EQ(guest(data(1), 512), std::string(512, static_cast<char>(21 + round)));
    EXPECT_EQ(guest(data(2), 512), std::string(512, static_cast<char>(31 + round)));
    ASSERT_TRUE(disk->device->quiesce());
    EXPECT_THAT(disk->msi.messages(), ElementsAre(FakeMsiSink::Message{0xfee0'0000, 0x41}));
    disk->device->resume();
  }
}

TEST_F(VirtioBlkPackedTest, OffersAfterARestoreWhatTheGuestWasOffered) {
  start_packed();
  restore(suspended(), false);
  EXPECT_EQ(disk->driver->offered(), kPackedFeatures);
  disk->driver->set_status(0);
  EXPECT_EQ(disk->driver->offered(), kPackedFeatures);
  ASSERT_TRUE(disk->driver->negotiate(kPackedFeatures));

  disk.reset();
  disk = make_disk(false);
  start(*disk);
  restore(suspended(), true);
  EXPECT_EQ(disk->driver->offered(), kFeatures);
  disk->driver->set_status(0);
  EXPECT_FALSE(disk->driver->negotiate(kPackedFeatures));
}

TEST_F(VirtioBlkPackedTest, NamesTheFeatureExactlyWhileTheDriverUsesPackedRings) {
  const auto features = [this] { return disk->device->describe().features; };
  EXPECT_THAT(features(), IsEmpty());
  disk->driver->map_bars();
  disk->driver->set_status(virtio::kAcknowledge | virtio::kDriver);
  disk->driver->accept(kPackedFeatures);
  EXPECT_THAT(features(), IsEmpty());  // not yet agreed on
  start_packed();
  EXPECT_THAT(features(), ElementsAre("packed-ring"));
  EXPECT_EQ(disk->device->describe().readable_since, (ChunkVersion{1, 0}));
  restore(suspended());
  EXPECT_THAT(features(), ElementsAre("packed-ring"));
  disk->driver->set_status(0);
  EXPECT_THAT(features(), IsEmpty());
  start(*disk);
  EXPECT_THAT(features(), IsEmpty());
}

TEST_F(VirtioBlkPackedTest, StoresNoWrapCountersOfSplitRings) {
  start(*disk);
  ASSERT_TRUE(disk->device->quiesce());
  const State state = unpacked<schema::VirtioBlk>(saved(*disk->device), "VBLK");
  EXPECT_FALSE(state.virtio->queues[0]->next_available_wrap.has_value());
  EXPECT_FALSE(state.virtio->queues[0]->next_used_wrap.has_value());
}

TEST_F(VirtioBlkPackedTest, StoresWhereItIsInTheRing) {
  const State state = good();
  EXPECT_EQ(state.virtio->queues[0]->next_available, 3);
  EXPECT_EQ(state.virtio->queues[0]->next_used, 3);
  EXPECT_EQ(state.virtio->queues[0]->next_available_wrap, false);
  EXPECT_EQ(state.virtio->queues[0]->next_used_wrap, false);
  EXPECT_EQ(state.virtio->queues[0]->signalled_used, 3);
}

TEST_F(VirtioBlkPackedTest, RefusesWrapCountersThatDoNotGoWithTheFeatures) {
  const State state = good();
  const char* field = "virtio.queues[0]";
  refused(state, ErrorKind::kCorrupt, field,
          [](State& s) { s.virtio->queues[0]->next_available_wrap.reset(); });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->next_used_wrap.reset(); });
  refused(state, ErrorKind::kCorrupt, field,
          [](State& s) { s.virtio->driver_features &= ~virtio::kRingPacked; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->device_status = 3; });
  refused(state, ErrorKind::kCorrupt, "virtio.driver_features",
          [](State& s) { s.virtio->device_features &= ~virtio::kRingPacked; });
}

TEST_F(VirtioBlkPackedTest, RefusesPlacesThatAreNotInTheRing) {
  const State state = good();
  const char* field = "virtio.queues[0]";
  refused(state, ErrorKind::kCorrupt, field,
          [](State& s) { s.virtio->queues[0]->next_available = kPackedSize; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->next_used = 0xffff; });
  refused(state, ErrorKind::kCorrupt, field,
          [](State& s) { s.virtio->queues[0]->signalled_used = kPackedSize; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->next_used = 4; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->size = 3; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->available_ring += 2; });
}

TEST_F(VirtioBlkPackedTest, SurvivesDamagedStates) {
  (void)good();
  expect_survives_damage(*disk->device);
}

}  // namespace
}  // namespace vmsnap::vmm
