// SPDX-License-Identifier: BSD-2-Clause
// virtio_blk between its versions: what becomes of packed rings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "migrate/convert.h"
#include "migrate/report.h"
#include "steps/steps.h"

namespace vmsnap::compat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChunkVersion k10{1, 0}, k11{1, 1};
constexpr std::uint64_t kPacked = std::uint64_t{1} << 34;
constexpr std::uint64_t kFeatures = 0x1'3000'0a44;

class VirtioBlkStepsTest : public testing::Test {
 protected:
  static Migrator make_migrator() {
    const ReleaseLevel old{1, {}, {{"virtio_blk", k10, {}}}};
    const ReleaseLevel present{2, {}, {{"virtio_blk", k11, {"packed-ring"}}}};
    return *Migrator::create(frozen_device_chunk_types(), {old, present}, registered_steps());
  }
  reflect::SchemaModel model(ChunkVersion version) const {
    return *reflect::SchemaModel::load(migrator.find("virtio_blk", version)->schema);
  }
  template <typename T>
  static void set(StateTree& tree, std::string_view path, const T& value) {
    const auto done = tree.set(path, value);
    ASSERT_TRUE(done) << done.error().to_string();
  }

  /// A disk with one queue whose driver agreed on split rings.
  static StateTree disk(const reflect::SchemaModel& of) {
    StateTree tree(of);
    for (const char* path : {"pci.config_space", "pci.bars", "virtio.queues", "serial", "config"}) {
      EXPECT_TRUE(tree.make(path)) << path;
    }
    EXPECT_TRUE(tree.append("virtio.queues"));
    set(tree, "virtio.device_features", kFeatures);
    set(tree, "virtio.driver_features", kFeatures);
    set<std::uint8_t>(tree, "virtio.device_status", 0x0f);
    set<std::uint16_t>(tree, "virtio.queues[0].size", 128);
    set<std::uint16_t>(tree, "virtio.queues[0].max_size", 256);
    set(tree, "virtio.queues[0].enabled", true);
    set<std::uint16_t>(tree, "virtio.queues[0].msix_vector", 1);
    set<std::uint64_t>(tree, "virtio.queues[0].descriptor_table", 0x1000);
    set<std::uint64_t>(tree, "virtio.queues[0].available_ring", 0x3000);
    set<std::uint64_t>(tree, "virtio.queues[0].used_ring", 0x4000);
    set<std::uint16_t>(tree, "virtio.queues[0].next_available", 77);
    set<std::uint16_t>(tree, "virtio.queues[0].next_used", 77);
    set<std::uint16_t>(tree, "virtio.queues[0].signalled_used", 76);
    return tree;
  }
  static void use_packed_rings(StateTree& tree) {
    set(tree, "virtio.device_features", kFeatures | kPacked);
    set(tree, "virtio.driver_features", kFeatures | kPacked);
    set<std::uint16_t>(tree, "virtio.queues[0].size", 100);
    set(tree, "virtio.queues[0].next_available_wrap", false);
    set(tree, "virtio.queues[0].next_used_wrap", false);
  }
  static DeviceEntry entry(ChunkVersion version, std::vector<std::string> features = {}) {
    DeviceEntry entry;
    entry.path = "pci0/00:03.0";
    entry.type = "virtio_blk";
    entry.version = version;
    entry.readable_since = k10;
    entry.features = std::move(features);
    return entry;
  }

  Conversion convert(const StateTree& tree, const DeviceEntry& from, const LevelChunk& to,
                     std::vector<std::string> allowed = {}) const {
    auto conversion = migrator.convert(from, *tree.encode(), to, *AllowedLosses::parse(std::move(allowed)));
    EXPECT_TRUE(conversion) << conversion.error().to_string();
    return std::move(*conversion);
  }
  Conversion down(const StateTree& tree, std::vector<std::string> features = {},
                  std::vector<std::string> allowed = {}) const {
    return convert(tree, entry(k11, std::move(features)), {"virtio_blk", k10, {}}, std::move(allowed));
  }
  /// Fields with an outcome of that kind, in order.
  static std::vector<std::string> fields(const Conversion& conversion, OutcomeKind kind) {
    std::vector<std::string> found;
    for (const Outcome& outcome : conversion.report.outcomes) {
      if (outcome.kind == kind) found.push_back(outcome.field);
    }
    return found;
  }
  static void expect_equal(const reflect::SchemaModel& of, const Conversion& conversion,
                           const StateTree& wanted) {
    ASSERT_TRUE(conversion.converted);
    EXPECT_EQ(*StateTree::decode(of, conversion.converted->state)->encode(), *wanted.encode());
  }

  Migrator migrator = make_migrator();
  reflect::SchemaModel old = model(k10);
  reflect::SchemaModel present = model(k11);
};

TEST_F(VirtioBlkStepsTest, CarriesSplitRingsDownAndUp) {
  const Conversion lower = down(disk(present));
  expect_equal(old, lower, disk(old));
  EXPECT_THAT(fields(lower, OutcomeKind::kLost), IsEmpty());
  EXPECT_THAT(fields(lower, OutcomeKind::kConverted), IsEmpty());
  EXPECT_EQ(lower.converted->device, entry(k10));

  const Conversion upper = convert(disk(old), entry(k10), {"virtio_blk", k11, {"packed-ring"}});
  expect_equal(present, upper, disk(present));
  EXPECT_THAT(fields(upper, OutcomeKind::kDefaulted),
              ElementsAre("virtio.queues.next_available_wrap", "virtio.queues.next_used_wrap"));
  EXPECT_THAT(fields(upper, OutcomeKind::kLost), IsEmpty());
  EXPECT_EQ(upper.converted->device.readable_since, k10);
}

TEST_F(VirtioBlkStepsTest, WithdrawsAnOfferThatTheDriverDidNotAccept) {
  for (const std::uint8_t status : std::array<std::uint8_t, 4>{0x0b, 0x0f, 0x4f, 0x8f}) {
    SCOPED_TRACE(int{status});
    StateTree tree = disk(present);
    set(tree, "virtio.device_features", kFeatures | kPacked);
    set(tree, "virtio.device_status", status);
    const Conversion lower = down(tree);
    StateTree wanted = disk(old);
    set(wanted, "virtio.device_status", status);
    expect_equal(old, lower, wanted);
    EXPECT_THAT(fields(lower, OutcomeKind::kLost), IsEmpty());
    EXPECT_THAT(fields(lower, OutcomeKind::kConverted), ElementsAre("virtio.device_features"));
  }
}

TEST_F(VirtioBlkStepsTest, WithdrawsAnOfferThatNoDriverHasLookedAt) {
  StateTree tree = disk(present);
  set(tree, "virtio.device_features", kFeatures | kPacked);
  set<std::uint64_t>(tree, "virtio.driver_features", 0);
  set<std::uint8_t>(tree, "virtio.device_status", 0);
  const Conversion lower = down(tree);
  EXPECT_TRUE(lower.converted);
  EXPECT_THAT(fields(lower, OutcomeKind::kConverted), ElementsAre("virtio.device_features"));
}

TEST_F(VirtioBlkStepsTest, RefusesWhileTheDriverIsChoosing) {
  for (const std::uint8_t status : std::array<std::uint8_t, 3>{0x01, 0x03, 0x83}) {
    SCOPED_TRACE(int{status});
    StateTree tree = disk(present);
    set(tree, "virtio.device_features", kFeatures | kPacked);
    set(tree, "virtio.driver_features", kFeatures | kPacked);
    set(tree, "virtio.device_status", status);
    const Conversion lower = down(tree);
    EXPECT_FALSE(lower.converted);
    EXPECT_THAT(fields(lower, OutcomeKind::kLost), ElementsAre("virtio.device_features"));
    EXPECT_THAT(refusal(lower.report).to_string(), HasSubstr("finds no disk"));

    // Who allows it gets a device that was never asked for packed rings and refuses them.
    const Conversion forced = down(tree, {}, {"pci0/00:03.0.virtio.device_features"});
    StateTree wanted = disk(old);
    set(wanted, "virtio.driver_features", kFeatures | kPacked);
    set(wanted, "virtio.device_status", status);
    expect_equal(old, forced, wanted);
  }
}

TEST_F(VirtioBlkStepsTest, RefusesToTakePackedRingsDownAndSaysWhatTheGuestWouldNotice) {
  StateTree tree = disk(present);
  use_packed_rings(tree);
  const Conversion lower = down(tree, {"packed-ring"});
  EXPECT_FALSE(lower.converted);
  EXPECT_THAT(fields(lower, OutcomeKind::kLost),
              ElementsAre("virtio.queues[0].next_available_wrap", "virtio.queues[0].next_used_wrap"));
  const std::string words = refusal(lower.report).to_string();
  EXPECT_THAT(words, HasSubstr("pci0/00:03.0.virtio.queues[0].next_used_wrap = false"));
  EXPECT_THAT(words, HasSubstr("the disk answers no request until the guest resets it"));
}

TEST_F(VirtioBlkStepsTest, RefusesToLeaveThePackedRingsOutOfALevelThatHasTheVersionWithoutTheFeature) {
  StateTree tree = disk(present);
  use_packed_rings(tree);
  const Conversion lower = convert(tree, entry(k11, {"packed-ring"}), {"virtio_blk", k11, {}});
  EXPECT_FALSE(lower.converted);
  EXPECT_THAT(fields(lower, OutcomeKind::kLost),
              ElementsAre("virtio.queues[0].next_available_wrap", "virtio.queues[0].next_used_wrap"));
}

TEST_F(VirtioBlkStepsTest, RefusesPackedRingsWithoutWrapCountersAsCorrupt) {
  for (const char* counter : {"virtio.queues[0].next_available_wrap", "virtio.queues[0].next_used_wrap"}) {
    StateTree tree = disk(present);
    use_packed_rings(tree);
    ASSERT_TRUE(tree.clear(counter));
    const auto lower =
        migrator.convert(entry(k11, {"packed-ring"}), *tree.encode(), {"virtio_blk", k10, {}}, {});
    ASSERT_FALSE(lower);
    EXPECT_EQ(lower.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(lower.error().field(), "virtio.queues[0]");
    EXPECT_EQ(lower.error().device(), "pci0/00:03.0");
  }
}

TEST_F(VirtioBlkStepsTest, MakesADeviceThatAsksForAResetWhenTheLossIsAllowed) {
  StateTree tree = disk(present);
  use_packed_rings(tree);
  const Conversion lower =
      down(tree, {"packed-ring"},
           {"pci0/00:03.0.virtio.queues.next_available_wrap", "pci0/00:03.0.virtio.queues.next_used_wrap"});
  StateTree wanted = disk(old);
  set<std::uint8_t>(wanted, "virtio.device_status", 0x4f);
  set<std::uint16_t>(wanted, "virtio.queues[0].size", 256);
  for (const char* field : {"enabled", "descriptor_table", "available_ring", "used_ring", "next_available",
                            "next_used", "signalled_used"}) {
    ASSERT_TRUE(wanted.clear(std::string("virtio.queues[0].") + field));
  }
  expect_equal(old, lower, wanted);
  EXPECT_EQ(lower.converted->device, entry(k10));
}

}  // namespace
}  // namespace vmsnap::compat
