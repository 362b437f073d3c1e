// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../layout_chunks.h"
#include "bhyve/convert/engine/target_shape.h"
#include "bhyve_chunks.h"
#include "engine_set.h"
#include "format/constants.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Reads the set and expects it to come back byte for byte.
ReadSet there_and_back(EngineSet& set) {
  auto read = set.read();
  EXPECT_TRUE(read) << read.error().to_string();
  if (!read) std::abort();
  const auto written = set.write(*read);
  EXPECT_TRUE(written) << written.error().to_string();
  if (!written) std::abort();
  EXPECT_EQ(kern_of(*written), set.kern);
  EXPECT_EQ(written->meta_text, *write_meta(set.meta));
  return std::move(*read);
}

TEST(ReadSet, GivesAnyChunkOfAnyLayoutBackByteForByte) {
  for (const LayoutCase& one : layout_cases()) {
    SCOPED_TRACE(one.name);
    const Vendor vendor = one.layout->vendor.value_or(Vendor::kIntel);
    EngineSet set(vendor, static_cast<std::uint32_t>(*one.context.vcpus));
    set.context = one.context;
    const bool is_kernel = kernel_chunk_by_name(one.layout->chunk).has_value();
    set.add(std::string(one.layout->chunk), is_kernel, one.layout,
            make_random_chunk(*one.layout, one.context, 7).bytes);
    (void)there_and_back(set);
    if (HasFailure()) return;
  }
}

TEST(ReadSet, SaysOfEveryFieldWhatBecameOfIt) {
  EngineSet set;
  set.add_kernel("vhpet", "A", {{"freq_sbt", 256}, {"config", 1}, {"isr", 3}, {"timer[0].callout_sbt", 5}});
  const ReadSet read = there_and_back(set);
  ASSERT_EQ(read.report.chunks.size(), 1u);
  const ChunkReport& chunk = read.report.chunks[0];
  EXPECT_EQ(chunk.chunk, "vhpet");
  EXPECT_EQ(chunk.layout, "A");
  EXPECT_THAT(chunk.devices, ElementsAre("system0/hpet@fed00000"));
  EXPECT_THAT(fields(read.report, "vhpet", FieldFate::kMapped), AllOf(Contains("config"), Contains("isr")));
  EXPECT_THAT(fields(read.report, "vhpet", FieldFate::kRecomputed), ElementsAre("freq_sbt"));
  EXPECT_THAT(fields(read.report, "vhpet", FieldFate::kMeaningless), Contains("timer[0].callout_sbt"));
  EXPECT_EQ(field_of<std::uint64_t>(read.machine, "system0/hpet@fed00000", "configuration"), 1u);
}

TEST(ReadSet, KeepsAChunkThatNobodyKnowsAndWhatLiesBetweenAndBehindChunks) {
  EngineSet set;
  set.kern = bytes_of({9, 8, 7});
  set.add("nvme", false, nullptr, bytes_of({1, 2, 3, 4}));
  set.kern.push_back(std::byte{6});
  ByteVector timer = encode_items(*find_layout("vpmtmr", "A"), set.context, {{"baseval", 5}});
  timer.push_back(std::byte{0xaa});  // bhyve ignores it
  set.add("vpmtmr", true, find_layout("vpmtmr", "A"), timer);
  set.kern.push_back(std::byte{5});
  const ReadSet read = there_and_back(set);
  const PrivateState& state = read.private_state;
  ASSERT_EQ(state.gaps.size(), 3u);
  EXPECT_EQ(state.gaps[0].bytes, bytes_of({9, 8, 7}));
  EXPECT_EQ(state.gaps[1].file_offset, 7u);
  EXPECT_EQ(state.gaps[2].bytes, bytes_of({5}));
  EXPECT_THAT(fields(read.report, "vpmtmr", FieldFate::kPrivate), ElementsAre("tail"));
  EXPECT_THAT(fields(read.report, "nvme", FieldFate::kPrivate), ElementsAre("chunk"));
  EXPECT_THAT(sentences(read.report, Remark::Kind::kNote), Contains(HasSubstr("nvme: it is kept as it is")));
}

TEST(ReadSet, KeepsASecondChunkForTheSamePlace) {
  EngineSet set;
  set.add_device("virtio-rnd@pci.0.3.0", {{"vc_nvq", 0}});
  set.add_device("virtio-rnd-pci-0-3-0", {{"vc_nvq", 0}, {"vs_status", 7}});
  const ReadSet read = there_and_back(set);
  EXPECT_THAT(fields(read.report, "virtio-rnd-pci-0-3-0", FieldFate::kPrivate), ElementsAre("chunk"));
  EXPECT_EQ(field_of<std::uint8_t>(read.machine, "pci0/00:03.0", "virtio.device_status"), 0);
}

TEST(ReadSet, MakesTheHostBridgeThatAAndBDoNotSave) {
  EngineSet set(Vendor::kIntel, 1, Shape::kA);
  set.add_device("virtio-rnd", {{"vc_nvq", 0}});
  const ReadSet read = there_and_back(set);
  const auto config = field_of<ByteVector>(read.machine, "pci0/00:00.0", "function.config_space");
  ASSERT_EQ(config.size(), 256u);
  EXPECT_EQ(config[0], std::byte{0x75});
  EXPECT_EQ(config[1], std::byte{0x12});
  EXPECT_THAT(read.report.not_in_file, Contains(testing::Field(&NotInFile::device, "pci0/00:00.0")));
  EXPECT_THAT(sentences(read.report, Remark::Kind::kNote),
              Contains(HasSubstr("taken to be at pci0/00:01.0")));
  EXPECT_THAT(sentences(read.report, Remark::Kind::kNote),
              Contains(HasSubstr("devices: 13.0 to 13.2 save the first")));

  EngineSet no_pci;
  no_pci.add_device("atkbdc");
  const ReadSet without = there_and_back(no_pci);
  EXPECT_EQ(without.machine.find("pci0/00:00.0"), nullptr);
  EXPECT_THAT(without.report.remarks, IsEmpty());
}

TEST(ReadSet, PutsADeviceWhereItIsSaidToHaveBeen) {
  EngineSet set(Vendor::kIntel, 1, Shape::kA);
  set.add_device("virtio-rnd", {{"vc_nvq", 0}, {"vs_status", 7}});
  set.said = {{"virtio-rnd", {0, 4, 1}}};
  const ReadSet read = there_and_back(set);
  EXPECT_EQ(field_of<std::uint8_t>(read.machine, "pci0/00:04.1", "virtio.device_status"), 7);
  EXPECT_THAT(sentences(read.report, Remark::Kind::kNote),
              testing::Not(Contains(HasSubstr("taken to be at"))));
  const auto other = frame_for(KernelShape::kC, read.private_state, read.machine);
  ASSERT_TRUE(other) << other.error().to_string();
  const auto is_there = [](const TargetEntry& entry) { return entry.entry.name == "virtio-rnd@pci.0.4.1"; };
  EXPECT_TRUE(std::any_of(other->entries.begin(), other->entries.end(), is_there));
}

TEST(ReadSet, RefusesThePlaceOfADeviceThatIsNotThereOrThatHasOne) {
  EngineSet set(Vendor::kIntel, 1, Shape::kA);
  set.add_device("virtio-rnd", {{"vc_nvq", 0}});
  set.add_device("virtio-blk@pci.0.3.0");
  set.add_device("atkbdc");
  for (const char* name : {"e1000", "virtio-blk", "virtio-blk@pci.0.3.0", "atkbdc"}) {
    set.said = {{name, {0, 4, 0}}};
    const auto read = set.read();
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(read.error().message(), HasSubstr("there are \"virtio-rnd\"")) << name;
  }
  set.said = {{"virtio-rnd", {0, 3, 0}}};
  const auto taken = set.read();
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message(), HasSubstr("because another device does"));
}

TEST(ReadSet, PutsRingsIntoMemoryAndKeepsWhatWasThere) {
  EngineSet set;
  ByteVector ring(8192, std::byte{0x11});
  set.add_device("virtio-rnd@pci.0.3.0", {{"vc_nvq", 1},
                                          {"queue[0].vq_qsize", 64},
                                          {"queue[0].vq_flags", 1},
                                          {"queue[0].desc_ring", 0x2000},
                                          {"queue[0].ring", ring}});
  const ReadSet read = there_and_back(set);
  EXPECT_EQ(*set.memory().read(Gpa(0x2000), ring.size()), ByteVector(ring.size()))
      << "what was there is back";
  EXPECT_THAT(fields(read.report, "virtio-rnd@pci.0.3.0", FieldFate::kPrivate),
              Contains("queue[0].ring.before"));
  const auto again = set.read();
  ASSERT_TRUE(again);
  EXPECT_EQ(*set.memory().read(Gpa(0x2000), ring.size()), ring);
}

TEST(ReadSet, KeepsARingThatLiesOutsideMemory) {
  EngineSet set;
  set.add_device("virtio-rnd@pci.0.3.0", {{"vc_nvq", 1},
                                          {"queue[0].vq_qsize", 64},
                                          {"queue[0].vq_flags", 1},
                                          {"queue[0].desc_ring", 1 << 20},
                                          {"queue[0].ring", ByteVector(8192, std::byte{0x11})}});
  const ReadSet read = there_and_back(set);
  EXPECT_THAT(fields(read.report, "virtio-rnd@pci.0.3.0", FieldFate::kPrivate), Contains("queue[0].ring"));
}

TEST(ReadSet, KeepsTheTextOfAMetaFileThatBhyveWouldNotWrite) {
  EngineSet set;
  set.add_kernel("vpmtmr", "A");
  const auto usual = set.read();
  ASSERT_TRUE(usual);
  EXPECT_EQ(usual->private_state.meta_text, std::nullopt);
  const std::string text = replaced(*write_meta(set.meta), "\"ncpus\": 1", "\"ncpus\":    1");
  const auto odd = set.read(text);
  ASSERT_TRUE(odd) << odd.error().to_string();
  EXPECT_EQ(odd->private_state.meta_text, text);
  const auto written = set.write(*odd);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->meta_text, text);
}

TEST(ReadSet, RefusesAFileOfWhichMostBelongsToNoChunk) {
  EngineSet set;
  set.add_kernel("vpmtmr", "A");
  set.kern.resize((8 << 20) + 5);
  const auto read = set.read();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_THAT(read.error().to_string(), HasSubstr("belong to no chunk"));
}

TEST(ReadSet, NamesTheChunkThatEndsTooEarly) {
  EngineSet set;
  set.add("vhpet", true, find_layout("vhpet", "A"), ByteVector(283));
  const auto read = set.read();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kTruncated);
  EXPECT_THAT(read.error().to_string(), AllOf(HasSubstr("vhpet"), HasSubstr(".kern")));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
