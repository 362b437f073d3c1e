// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/from_bhyve/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../convert/mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::IsEmpty;

class Slots : public testing::Test {
 protected:
  StateTree& device(std::string_view path, std::string_view type) { return **machine_.device(path, type); }

  std::vector<Slot> all(const PrivateState& state = {}) {
    std::vector<Slot> slots;
    SlotNames names;
    for (const auto& device : machine_.devices()) {
      const auto some = slots_of(*device, state, names);
      EXPECT_TRUE(some) << some.error().to_string();
      if (some) slots.insert(slots.end(), some->begin(), some->end());
    }
    return slots;
  }

  /// A drive whose IDENTIFY says 1000h sectors.
  void add_drive(StateTree& adapter, std::size_t number, bool is_optical) {
    const auto at = adapter.append("ports");
    ASSERT_TRUE(at);
    const std::string port = "ports[" + std::to_string(*at) + "].";
    ByteVector identity(512);
    store_le<std::uint16_t>(identity, 2 * 60, 0x1000);
    ASSERT_TRUE(adapter.set(port + "number", number));
    ASSERT_TRUE(adapter.set(port + "drive.packet_device", is_optical));
    ASSERT_TRUE(adapter.set(port + "drive.identify", identity));
  }

 private:
  FakeGuestMemory memory_{0};
  Machine machine_{1, Vendor::kIntel, memory_};
};

TEST_F(Slots, OfAVirtioDiskHaveItsSize) {
  StateTree& disk = device("pci0/00:03.0", "virtio_blk");
  ASSERT_TRUE(disk.set("config.capacity", 8));
  ASSERT_TRUE(disk.set("virtio.device_features", 1 << 5));
  StateTree& huge = device("pci0/00:04.0", "virtio_blk");
  ASSERT_TRUE(huge.set("config.capacity", ~std::uint64_t{0}));
  ASSERT_TRUE(huge.make("virtio"));
  const auto slots = all();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0], (Slot{"disk0", SlotKind::kBlockBackend, {}, 4096, true}));
  EXPECT_EQ(slots[1], (Slot{"disk1", SlotKind::kBlockBackend, {}, std::nullopt, false}))
      << "no file is so large";
}

TEST_F(Slots, OfDrivesHaveTheSizeThatTheyTell) {
  StateTree& adapter = device("pci0/00:05.0", "ahci");
  add_drive(adapter, 0, false);
  add_drive(adapter, 4, true);
  ASSERT_TRUE(adapter.append("ports"));  // without a drive
  PrivateState state;
  const auto later = all(state);
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0], (Slot{"disk0", SlotKind::kBlockBackend, {}, 0x1000 * 512, false}));
  EXPECT_EQ(later[1], (Slot{"disk1", SlotKind::kBlockBackend, {}, std::nullopt, true}));

  PrivateChunk& chunk = state.chunks.emplace_back();
  chunk.devices = {"pci0/00:05.0"};
  chunk.items = {{"port[4].blockif.size", 700 << 20, {}}};
  EXPECT_EQ(all(state)[1].size, 700u << 20) << "generation A says it";
}

TEST_F(Slots, OfNetworkAdaptersHaveNames) {
  (void)device("pci0/00:03.0", "virtio_net");
  (void)device("pci0/00:04.0", "e1000");
  const auto slots = all();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0].name, "net0");
  EXPECT_EQ(slots[1], (Slot{"net1", SlotKind::kNetworkBackend, {}, std::nullopt, false}));
}

TEST_F(Slots, AreNoneOfOtherDevices) {
  (void)device("isa0/rtc@70", "mc146818");
  (void)device("pci0/00:05.0", "ahci");
  EXPECT_THAT(all(), IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
