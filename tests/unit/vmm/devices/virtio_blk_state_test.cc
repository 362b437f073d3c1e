// SPDX-License-Identifier: BSD-2-Clause
// What a virtio disk takes over from a snapshot, and what it refuses.
#include <gtest/gtest.h>

#include <functional>

#include "misaligned.h"
#include "virtio_blk_fixture.h"
#include "virtio_blk_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace testing;
using namespace virtio_blk;

class VirtioBlkStateTest : public VirtioBlkTest {
 protected:
  using State = schema::VirtioBlkT;

  /// The state of a disk in use.
  State good() {
    start(*disk);
    EXPECT_EQ(request(kIn, 0, 512, true), kOk);
    EXPECT_TRUE(disk->device->quiesce());
    return unpacked<schema::VirtioBlk>(saved(*disk->device), "VBLK");
  }
  static ByteVector packed(const State& state) { return *pack_state(state, "VBLK"); }
  void refused(const State& state, ErrorKind kind, std::string_view field,
               const std::function<void(State&)>& change) {
    State bad = state;
    change(bad);
    expect_refused(*disk->device, packed(bad), kind, field);
  }
};

TEST_F(VirtioBlkStateTest, IsTheSameAfterARoundTrip) {
  disk->driver->map_bars();
  disk->driver->enable_msix(2);
  const ByteVector first = packed(good());
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path(), false, "another-serial");
  ASSERT_TRUE(disk->device->restore(first));
  EXPECT_EQ(saved(*disk->device), first);
  disk->device->resume();
  ASSERT_TRUE(disk->device->quiesce());
  EXPECT_EQ(saved(*disk->device), first);
}

TEST_F(VirtioBlkStateTest, RefusesPendingBitsThatAreNotAligned) {
  const ByteVector state = packed(good());
  const auto* msix = flatbuffers::GetRoot<schema::VirtioBlk>(state.data())->pci()->msix();
  const ByteVector moved = with_misaligned_vector(state, msix, schema::PciMsix::VT_PENDING, 8);
  expect_refused(*disk->device, moved, ErrorKind::kCorrupt, "");
}

TEST_F(VirtioBlkStateTest, KeepsWhatTheGuestWasOffered) {
  State state = good();
  state.virtio->device_features &= ~kFeatureFlush;
  state.virtio->driver_features &= ~kFeatureFlush;
  state.config->seg_max = 17;
  state.virtio->queues[0]->max_size = 64;
  ASSERT_TRUE(disk->device->restore(packed(state)));
  disk->device->resume();
  EXPECT_EQ(disk->driver->offered(), kFeatures & ~kFeatureFlush);
  EXPECT_EQ(disk->driver->mmio<std::uint32_t>(disk->driver->device(kSegMax)), 17U);
  disk->driver->set_status(0);
  EXPECT_EQ(disk->driver->offered(), kFeatures & ~kFeatureFlush);
  EXPECT_EQ(disk->driver->mmio<std::uint16_t>(disk->driver->common(virtio::kQueueSize)), 64);
}

TEST_F(VirtioBlkStateTest, StaysBrokenWhenTheGuestHadBrokenIt) {
  State state = good();
  state.virtio->device_status |= virtio::kNeedsReset;
  submit(1, kIn, 0, 512, true);
  ASSERT_TRUE(disk->device->restore(packed(state)));
  disk->device->resume();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ring.used_index(), 1);
  EXPECT_EQ(disk->driver->status(), 0x4f);
}

TEST_F(VirtioBlkStateTest, RunsARingOutsideRamIntoNeedsReset) {
  State state = good();
  state.virtio->queues[0]->descriptor_table = std::uint64_t{1} << 52;
  ASSERT_TRUE(disk->device->restore(packed(state)));
  disk->device->resume();
  EXPECT_TRUE(eventually([this] { return (disk->driver->status() & virtio::kNeedsReset) != 0; }));
}

TEST_F(VirtioBlkStateTest, RefusesFeaturesThatThisVmmDoesNotHave) {
  const State state = good();
  refused(state, ErrorKind::kUnsupported, "virtio.device_features",
          [](State& s) { s.virtio->device_features |= 1U << 14; });
  refused(state, ErrorKind::kCorrupt, "virtio.driver_features",
          [](State& s) { s.virtio->driver_features |= kFeatureReadOnly; });
  refused(state, ErrorKind::kUnsupported, "virtio.driver_features",
          [](State& s) { s.virtio->driver_features &= ~virtio::kVersion1; });
}

TEST_F(VirtioBlkStateTest, RefusesRegistersThatCannotBe) {
  const State state = good();
  refused(state, ErrorKind::kCorrupt, "virtio.device_status",
          [](State& s) { s.virtio->device_status |= 0x20; });
  refused(state, ErrorKind::kCorrupt, "virtio.device_status",
          [](State& s) { s.virtio->device_status = 0x07; });
  refused(state, ErrorKind::kCorrupt, "virtio.isr_status", [](State& s) { s.virtio->isr_status = 4; });
  refused(state, ErrorKind::kCorrupt, "virtio.config_msix_vector",
          [](State& s) { s.virtio->config_msix_vector = 2; });
}

TEST_F(VirtioBlkStateTest, RefusesQueuesThatCannotBe) {
  const State state = good();
  const char* field = "virtio.queues[0]";
  refused(state, ErrorKind::kUnsupported, "virtio.queues", [](State& s) { s.virtio->queues.clear(); });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->index = 1; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->size = 12; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->size = 512; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->max_size = 0; });
  refused(state, ErrorKind::kUnsupported, field, [](State& s) { s.virtio->queues[0]->max_size = 0x8000; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->msix_vector = 2; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->descriptor_table += 8; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->available_ring += 1; });
  refused(state, ErrorKind::kCorrupt, field, [](State& s) { s.virtio->queues[0]->used_ring += 2; });
  refused(state, ErrorKind::kUnsupported, field, [](State& s) { s.virtio->queues[0]->legacy_pfn = 0x1234; });
}

TEST_F(VirtioBlkStateTest, RefusesAnotherPciFunction) {
  const State state = good();
  refused(state, ErrorKind::kCorrupt, "pci.config_space", [](State& s) { s.pci->config_space.pop_back(); });
  refused(state, ErrorKind::kUnsupported, "pci.config_space",
          [](State& s) { s.pci->config_space[2] = 0x41; });
  refused(state, ErrorKind::kUnsupported, "pci.bars",
          [](State& s) { s.pci->bars.erase(s.pci->bars.begin()); });
  refused(state, ErrorKind::kCorrupt, "pci.msix", [](State& s) { s.pci->msix.reset(); });
  refused(state, ErrorKind::kCorrupt, "pci.msix.table",
          [](State& s) { s.pci->msix->table.push_back(std::make_unique<schema::PciMsixEntryT>()); });
}

TEST_F(VirtioBlkStateTest, RefusesADiskThatCannotBe) {
  const State state = good();
  refused(state, ErrorKind::kCorrupt, "config.capacity", [](State& s) { s.config->capacity = 0; });
  refused(state, ErrorKind::kCorrupt, "config.capacity",
          [](State& s) { s.config->capacity = ~std::uint64_t{0}; });
  refused(state, ErrorKind::kCorrupt, "config.blk_size", [](State& s) { s.config->blk_size = 513; });
  refused(state, ErrorKind::kUnsupported, "config.seg_max", [](State& s) { s.config->seg_max = 2000; });
  refused(state, ErrorKind::kUnsupported, "config.num_queues", [](State& s) { s.config->num_queues = 4; });
  refused(state, ErrorKind::kCorrupt, "serial", [](State& s) { s.serial = std::string(21, 'x'); });
}

TEST_F(VirtioBlkStateTest, RefusesAnImageOfAnotherSizeAndSaysHowToGiveTheRightOne) {
  State state = good();
  state.config->capacity += 1;
  refused(state, ErrorKind::kUsage, "", [](State&) {});
  const auto result = disk->device->restore(packed(state));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("--slot disk0=PATH"), std::string::npos)
      << result.error().to_string();
}

TEST_F(VirtioBlkStateTest, RefusesAReadOnlyImageForADiskThatIsWritten) {
  const State state = good();
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path(), true);
  refused(state, ErrorKind::kUsage, "", [](State&) {});
}

TEST_F(VirtioBlkStateTest, KeepsAReadOnlyDiskReadOnlyOnAWritableImage) {
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path(), true);
  const State state = good();
  disk.reset();
  disk = std::make_unique<Disk>(memory, image.path());
  ASSERT_TRUE(disk->device->restore(packed(state)));
  disk->device->resume();
  EXPECT_TRUE(disk->device->describe().slots.at(0).read_only);
  EXPECT_EQ(request(kOut, 0, 512, false), kIoError);
}

TEST_F(VirtioBlkStateTest, SurvivesDamagedStates) {
  (void)good();
  expect_survives_damage(*disk->device);
}

}  // namespace
}  // namespace vmsnap::vmm
