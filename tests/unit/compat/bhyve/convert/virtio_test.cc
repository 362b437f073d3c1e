// SPDX-License-Identifier: BSD-2-Clause
// The virtio devices: what they have in common through the entropy device, which is nothing else, then the
// others' own parts.
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kPath = "pci0/00:03.0";
constexpr std::uint64_t kEventIdx = 1u << 29;

/// Memory of a ring of 64 entries.
constexpr std::size_t kRingSize = 8192;

ByteVector ring_of(unsigned seed) {
  ByteVector ring(kRingSize);
  for (std::size_t i = 0; i < ring.size(); ++i) ring[i] = static_cast<std::byte>(seed + i * 7);
  return ring;
}

Context context(Shape shape) {
  Context context;
  context.set_shapes(shape);
  return context;
}

MappingRun run_of(std::string_view chunk, const ItemValues& items, Shape shape = Shape::kB) {
  return MappingRun(chunk, "by axes", context(shape), items, Vendor::kIntel, std::string(kPath));
}

/// One queue that is set up, at 4000h.
ItemValues one_queue() {
  return {
      {"vs_negotiated_caps", 0x10000000u},
      {"vs_status", 7u},
      {"vs_isr", 1u},
      {"vs_msix_cfg_idx", 0xffffu},
      {"vc_nvq", 1u},
      {"vc_hv_caps", 0x1'3000'0000u},
      {"queue[0].vq_qsize", 64u},
      {"queue[0].vq_flags", 1u},
      {"queue[0].vq_last_avail", 0xfffeu},
      {"queue[0].vq_next_used", 0xfffdu},
      {"queue[0].vq_msix_idx", 0xffffu},
      {"queue[0].vq_pfn", 4u},
      {"queue[0].desc_ring", 0x4000u},
      {"queue[0].avail_ring", 0x4400u},
      {"queue[0].used_ring", 0x5000u},
      {"queue[0].ring", ring_of(3)},
  };
}

void put_ring(MappingRun& run, std::size_t address, const ByteVector& ring) {
  std::copy(ring.begin(), ring.end(), run.memory.bytes.begin() + static_cast<std::ptrdiff_t>(address));
}

TEST(Virtio, GoesToTheRegistersAndTheQueues) {
  for (const Shape shape : {Shape::kA, Shape::kB}) {
    auto run = run_of("virtio-rnd", one_queue(), shape);
    put_ring(run, 0x4000, ring_of(3));
    EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used"));
    EXPECT_EQ(run.memory.writes, 0);
    const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
    EXPECT_EQ(number("virtio.driver_features"), 0x10000000u);
    EXPECT_EQ(number("virtio.device_features"), 0x1'3000'0000u);
    EXPECT_EQ(number("virtio.device_status"), 7u);
    EXPECT_EQ(number("virtio.isr_status"), 1u);
    EXPECT_EQ(number("virtio.config_msix_vector"), 0xffffu);
    EXPECT_EQ(number("virtio.queue_select"), 0u);
    ASSERT_EQ(run.machine().find(kPath)->count("virtio.queues").value(), 1u);
    EXPECT_EQ(number("virtio.queues[0].index"), 0u);
    EXPECT_EQ(number("virtio.queues[0].size"), 64u);
    EXPECT_EQ(number("virtio.queues[0].max_size"), 64u);
    EXPECT_TRUE(run.field<bool>(kPath, "virtio.queues[0].enabled"));
    EXPECT_EQ(number("virtio.queues[0].next_available"), 0xfffeu);
    EXPECT_EQ(number("virtio.queues[0].next_used"), 0xfffdu);
    EXPECT_EQ(number("virtio.queues[0].msix_vector"), 0xffffu);
    EXPECT_EQ(number("virtio.queues[0].legacy_pfn"), 4u);
    EXPECT_EQ(number("virtio.queues[0].descriptor_table"), 0x4000u);
    EXPECT_EQ(number("virtio.queues[0].available_ring"), 0x4400u);
    EXPECT_EQ(number("virtio.queues[0].used_ring"), 0x5000u);
    EXPECT_FALSE(run.machine().find(kPath)->has("virtio.queues[0].signalled_used").value());
    EXPECT_TRUE(run.field<bool>(kPath, "pci.intx_asserted"));
    EXPECT_TRUE(run.machine().find(kPath)->encode());
  }
}

TEST(Virtio, PutsARingThatMemoryDoesNotHaveIntoMemory) {
  auto run = run_of("virtio-rnd", one_queue());
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used"));
  EXPECT_EQ(run.memory.writes, 1);
  EXPECT_EQ(run.memory.read(Gpa(0x4000), kRingSize).value(), ring_of(3));
}

TEST(Virtio, TracksSignalsWhenEventIndicesWereAccepted) {
  ItemValues items = one_queue();
  items["vs_negotiated_caps"] = 0x10000000u | kEventIdx;
  items["vs_flags"] = 2u;
  items["queue[0].vq_save_used"] = 0xfffcu;
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "virtio.queues[0].signalled_used"), 0xfffcu);
}

TEST(Virtio, HasNoInterruptOnThePinWhileMsixIsEnabled) {
  ByteVector space(256);
  store_le(MutableByteView(space), 0x06, std::uint16_t{0x10});
  store_le(MutableByteView(space), 0x34, std::uint8_t{0x70});
  store_le(MutableByteView(space), 0x70, std::uint32_t{0x80000011});
  ItemValues items = one_queue();
  items["config_space"] = space;
  items["msix.table_count"] = 1u;
  items["msix.pba_size"] = 8u;
  items["msix.enabled"] = 0x8000u;
  items["vs_flags"] = 1u;
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used"));
  EXPECT_FALSE(run.field<bool>(kPath, "pci.intx_asserted"));
}

TEST(Virtio, LeavesMemoryAloneForAQueueThatIsNotSetUp) {
  ItemValues items = one_queue();
  items["queue[0].vq_flags"] = 0u;
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used"));
  EXPECT_EQ(run.memory.writes, 0);
  EXPECT_FALSE(run.field<bool>(kPath, "virtio.queues[0].enabled"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "virtio.queues[0].descriptor_table"), 0u);
}

TEST(Virtio, KeepsTheRingOfAQueueThatGenerationACouldNotHaveSaved) {
  ItemValues items = one_queue();
  items["queue[0].vq_flags"] = 2u;
  auto run = run_of("virtio-rnd", items, Shape::kA);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("queue[0].vq_flags", "queue[0].vq_save_used", "queue[0].desc_ring",
                          "queue[0].avail_ring", "queue[0].used_ring", "queue[0].ring"));
  EXPECT_EQ(run.memory.writes, 0);
}

TEST(Virtio, KeepsARingThatMemoryHasNoPlaceFor) {
  for (const std::uint64_t address : {std::uint64_t{0xff000}, ~std::uint64_t{0}, ~std::uint64_t{0} - 4096}) {
    ItemValues items = one_queue();
    items["queue[0].desc_ring"] = address;
    auto run = run_of("virtio-rnd", items);
    EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used", "queue[0].ring"));
    EXPECT_EQ(run.memory.writes, 0);
    EXPECT_EQ(run.field<std::uint64_t>(kPath, "virtio.queues[0].descriptor_table"), address);
  }
}

TEST(Virtio, KeepsARingThatIsLargerThanMemoryMayBeAskedFor) {
  ItemValues items = one_queue();
  items["queue[0].vq_qsize"] = 0xffffu;
  items.erase("queue[0].ring");
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("queue[0].vq_save_used", "queue[0].ring"));
}

TEST(Virtio, KeepsWhatNoDeviceCanHave) {
  ItemValues items = one_queue();
  items["vs_flags"] = 9u;
  items["vs_curq"] = 0xffffffffu;
  items["vc_cfgsize"] = 1u;
  items["queue[0].vq_flags"] = 3u;
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("vs_flags", "vs_curq", "vc_cfgsize", "queue[0].vq_flags", "queue[0].vq_save_used"));
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "virtio.queue_select"), 0xffffu);
}

TEST(Virtio, GivesEachOfTwoRingsThatOverlapWhatMemoryHasInTheEnd) {
  ItemValues items = one_queue();
  items["vc_nvq"] = 2u;
  for (const auto& [path, value] : one_queue()) {
    if (path.starts_with("queue[0]")) items["queue[1]" + path.substr(8)] = value;
  }
  items["queue[1].vq_num"] = 1u;
  items["queue[1].desc_ring"] = 0x5000u;
  items["queue[1].ring"] = ring_of(9);
  auto run = run_of("virtio-rnd", items);
  EXPECT_THAT(run.kept_after_both_ways(),
              ElementsAre("queue[0].vq_save_used", "queue[0].ring", "queue[1].vq_save_used"));
}

TEST(VirtioBlk, GoesToItsConfigurationAndSerialNumber) {
  ByteVector ident = bytes_of({'B', 'H', 'Y', 'V', 'E', '-', '1', '2', '3'});
  ident.resize(21);
  auto run = run_of("virtio-blk", {{"vc_cfgsize", 60u},
                                   {"vs_curq", 3u},
                                   {"cfg.capacity", 0x12'3456'789au},
                                   {"cfg.size_max", 0x10000u},
                                   {"cfg.seg_max", 126u},
                                   {"cfg.blk_size", 4096u},
                                   {"cfg.physical_block_exp", 3u},
                                   {"cfg.alignment_offset", 1u},
                                   {"cfg.min_io_size", 8u},
                                   {"cfg.opt_io_size", 64u},
                                   {"cfg.writeback", 1u},
                                   {"cfg.num_queues", 1u},
                                   {"ident", ident}});
  EXPECT_THAT(
      run.kept_after_both_ways(),
      ElementsAre("cfg.max_discard_sectors", "cfg.max_discard_seg", "cfg.discard_sector_alignment",
                  "cfg.max_write_zeroes_sectors", "cfg.max_write_zeroes_seg", "cfg.write_zeroes_may_unmap"));
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  EXPECT_EQ(number("config.capacity"), 0x12'3456'789au);
  EXPECT_EQ(number("config.size_max"), 0x10000u);
  EXPECT_EQ(number("config.seg_max"), 126u);
  EXPECT_EQ(number("config.blk_size"), 4096u);
  EXPECT_EQ(number("config.physical_block_exp"), 3u);
  EXPECT_EQ(number("config.alignment_offset"), 1u);
  EXPECT_EQ(number("config.min_io_size"), 8u);
  EXPECT_EQ(number("config.opt_io_size"), 64u);
  EXPECT_TRUE(run.field<bool>(kPath, "config.writeback"));
  EXPECT_EQ(number("config.num_queues"), 1u);
  EXPECT_EQ(number("virtio.queue_select"), 3u);
  EXPECT_EQ(run.field<std::string>(kPath, "serial"), "BHYVE-123");
  EXPECT_TRUE(run.machine().find(kPath)->encode());
}

TEST(VirtioBlk, MakesASerialNumberOfWhatIsNone) {
  const std::vector<std::pair<ByteVector, std::string>> cases = {
      {bytes_of({'A', 0, 'B', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), "A"},
      {ByteVector(21, std::byte{'x'}), std::string(20, 'x')},
      {ByteVector(21, std::byte{0xff}), std::string(20, '?')},
  };
  for (const auto& [ident, serial] : cases) {
    auto run = run_of("virtio-blk", {{"ident", ident}, {"cfg.heads", 255u}});
    const auto kept = run.kept_after_both_ways();
    EXPECT_THAT(kept, testing::IsSupersetOf({"cfg.heads", "ident"}));
    EXPECT_EQ(run.field<std::string>(kPath, "serial"), serial);
    EXPECT_TRUE(run.machine().find(kPath)->encode());
  }
}

ItemValues net(std::uint64_t features) {
  return {{"vc_cfgsize", 12u},        {"vs_negotiated_caps", features},
          {"vsc_features", features}, {"cfg.mac", bytes_of({0x58, 0x9c, 0xfc, 1, 2, 3})},
          {"cfg.status", 1u},         {"cfg.max_virtqueue_pairs", 1u},
          {"cfg.mtu", 9000u}};
}

TEST(VirtioNet, GoesToItsConfiguration) {
  for (const Shape shape : {Shape::kA, Shape::kB}) {
    ItemValues items = net(0x8020);
    items["features_negotiated"] = 1u;
    items["rx_merge"] = 1u;
    items["vhdrlen"] = 12u;
    items["be_vhdrlen"] = 12u;
    auto run = run_of("virtio-net", items, shape);
    EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("be_vhdrlen"));
    EXPECT_EQ(run.field<ByteVector>(kPath, "config.mac"), bytes_of({0x58, 0x9c, 0xfc, 1, 2, 3}));
    EXPECT_EQ(run.field<std::uint64_t>(kPath, "config.status"), 1u);
    EXPECT_EQ(run.field<std::uint64_t>(kPath, "config.max_virtqueue_pairs"), 1u);
    EXPECT_EQ(run.field<std::uint64_t>(kPath, "config.mtu"), 9000u);
    EXPECT_TRUE(run.machine().find(kPath)->encode());
  }
}

TEST(VirtioNet, HasTheShortHeaderWithoutMergeableBuffers) {
  ItemValues items = net(0);
  items["vhdrlen"] = 10u;
  EXPECT_THAT(run_of("virtio-net", items).kept_after_both_ways(), ElementsAre("be_vhdrlen"));
  items["features_negotiated"] = 1u;
  items["rx_merge"] = 1u;
  items["vhdrlen"] = 12u;
  EXPECT_THAT(run_of("virtio-net", items).kept_after_both_ways(),
              ElementsAre("features_negotiated", "rx_merge", "vhdrlen", "be_vhdrlen"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
