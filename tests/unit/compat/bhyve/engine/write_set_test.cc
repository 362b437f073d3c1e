// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bhyve/convert/engine/target_shape.h"
#include "engine_set.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ReadSet read(EngineSet& set) {
  auto read = set.read();
  EXPECT_TRUE(read) << read.error().to_string();
  if (!read) std::abort();
  return std::move(*read);
}

/// All chunks of the kernel with nothing in them.
void add_kernel_chunks(EngineSet& set, KernelShape shape, Vendor vendor, const ItemValues& vmx,
                       const ItemValues& vmcx) {
  for (const KernelChunk chunk : all_kernel_chunks()) {
    const Layout* layout = layout_in(to_string(chunk), to_string(shape), vendor);
    if (layout == nullptr) continue;
    const bool is_vmx = chunk == KernelChunk::kVmx;
    const bool is_vmcx = chunk == KernelChunk::kVmcx;
    set.add_kernel(to_string(chunk), layout->shape, is_vmx ? vmx : is_vmcx ? vmcx : ItemValues{});
  }
}

Context context_of(const EngineSet& set, Shape axes) {
  Context context = set.context;
  context.set_shapes(axes);
  return context;
}

TEST(WriteSet, BeginsCommandsAnewThatWereUnderWayWhereTheirRequestsAreNotKept) {
  EngineSet set(Vendor::kIntel, 1, Shape::kA);
  add_kernel_chunks(set, KernelShape::kA, Vendor::kIntel, {}, {});
  set.add_device("ahci", {{"port[2].bctx", 1},
                          {"port[2].port", 2},
                          {"port[2].pending", 0x5},
                          {"port[2].ci", 0x5},
                          {"port[2].busy[0].index", 0xffffffff}});
  const ReadSet source = read(set);
  const auto written = set.write(source, KernelShape::kB);
  ASSERT_TRUE(written) << written.error().to_string();
  const Context of_b = context_of(set, Shape::kB);
  EXPECT_EQ(written_field(*written, "ahci", "by axes", of_b, "port[2].pending"), ByteVector(4));
  EXPECT_EQ(written_field(*written, "ahci", "by axes", of_b, "port[2].ci"), bytes_of({5, 0, 0, 0}));
  EXPECT_THAT(sentences(written->report, Remark::Kind::kLoss),
              ElementsAre(HasSubstr("ahci: commands of port[2] were under way")));
  EXPECT_THAT(fields(written->report, "ahci", FieldFate::kDropped), Contains("port[2].blockif.magic"));

  const auto same = set.write(source, KernelShape::kA);
  ASSERT_TRUE(same);
  EXPECT_EQ(kern_of(*same), set.kern);
}

TEST(WriteSet, SaysThatTheSizeOfTheMediumInAnOpticalDriveIsNotKnown) {
  EngineSet set;
  add_kernel_chunks(set, KernelShape::kC, Vendor::kIntel, {}, {});
  set.add_device("ahci@pci.0.3.0", {{"port[1].bctx", 1}, {"port[1].port", 1}, {"port[1].atapi", 1}});
  const ReadSet source = read(set);
  const auto to_a = set.write(source, KernelShape::kA);
  ASSERT_TRUE(to_a) << to_a.error().to_string();
  EXPECT_THAT(sentences(to_a->report, Remark::Kind::kLoss),
              ElementsAre(HasSubstr("the optical drive of port[1]")));
  const auto to_b = set.write(source, KernelShape::kB);
  ASSERT_TRUE(to_b);
  EXPECT_THAT(sentences(to_b->report, Remark::Kind::kLoss), IsEmpty()) << "13.2 asks its file";
}

TEST(WriteSet, CarriesWhatIsPrivateFromVmxToVmcxAndBack) {
  EngineSet a(Vendor::kAmd);
  add_kernel_chunks(a, KernelShape::kA, Vendor::kAmd,
                    {{"vcpu[0].np_enable", 1}, {"vcpu[0].asid.num", 3}, {"nptp", 77}},
                    {{"vcpu[0].cr_intercept", 5}});
  const ReadSet of_a = read(a);
  const auto as_c = a.write(of_a, KernelShape::kC);
  ASSERT_TRUE(as_c) << as_c.error().to_string();
  EXPECT_EQ(written_field(*as_c, "vmcx", "AMD C", a.context, "vcpu[0].np_enable"), cut(1, 8));
  EXPECT_EQ(written_field(*as_c, "vmcx", "AMD C", a.context, "vcpu[0].asid.num"), cut(3, 4));
  EXPECT_EQ(written_field(*as_c, "vmcx", "AMD C", a.context, "vcpu[0].cr_intercept"), cut(5, 8));
  EXPECT_THAT(fields(as_c->report, "vmx", FieldFate::kDropped),
              AllOf(Contains("nptp"), Not(Contains("vcpu[0].np_enable"))));

  EngineSet c(Vendor::kAmd);
  add_kernel_chunks(c, KernelShape::kC, Vendor::kAmd, {},
                    {{"vcpu[0].np_enable", 1}, {"vcpu[0].nextrip", 0x1234}});
  const ReadSet of_c = read(c);
  const auto as_a = c.write(of_c, KernelShape::kA);
  ASSERT_TRUE(as_a) << as_a.error().to_string();
  EXPECT_EQ(written_field(*as_a, "vmx", "AMD A", c.context, "vcpu[0].np_enable"), cut(1, 8));
  EXPECT_EQ(written_field(*as_a, "vmx", "AMD A", c.context, "vcpu[0].nextrip"), cut(0x1234, 8));
}

TEST(WriteSet, TakesTheAddressesOfTheHostOutWhenItRepairs) {
  EngineSet set(Vendor::kAmd);
  add_kernel_chunks(
      set, KernelShape::kA, Vendor::kAmd, {{"nptp", 0x1000}},
      {{"vcpu[0].npt_base", 0x2000}, {"vcpu[0].io_perm", 0x3000}, {"vcpu[0].msr_perm", 0x4000}});
  const ReadSet source = read(set);
  const auto same = set.write(source);
  ASSERT_TRUE(same);
  EXPECT_EQ(kern_of(*same), set.kern);
  EXPECT_THAT(sentences(same->report, Remark::Kind::kNote), Contains(HasSubstr("with repair they are 0")));
  const auto repaired = set.write(source, std::nullopt, true);
  ASSERT_TRUE(repaired) << repaired.error().to_string();
  EXPECT_EQ(written_field(*repaired, "vmx", "AMD A", set.context, "nptp"), ByteVector(8));
  for (const std::string_view path : {"vcpu[0].npt_base", "vcpu[0].io_perm", "vcpu[0].msr_perm"}) {
    EXPECT_EQ(written_field(*repaired, "vmcx", "AMD A", set.context, path), ByteVector(8)) << path;
  }
  EXPECT_THAT(sentences(repaired->report, Remark::Kind::kRepair),
              ElementsAre(HasSubstr("vmx: an address in the memory of the host is 0"),
                          HasSubstr("vmcx: 48 addresses")));
}

TEST(WriteSet, GivesVmxSomeBytesWhere13_2WouldRefuseItsOwn) {
  EngineSet set;
  add_kernel_chunks(set, KernelShape::kB, Vendor::kIntel, {}, {});
  const ReadSet source = read(set);
  const auto same = set.write(source);
  ASSERT_TRUE(same) << same.error().to_string();
  EXPECT_EQ(kern_of(*same), set.kern);
  EXPECT_THAT(
      sentences(same->report, Remark::Kind::kNote),
      Contains(HasSubstr("vmx: it is empty, as 13.2 writes it, and the same 13.2 refuses to resume")));
  const auto repaired = set.write(source, KernelShape::kB, true);
  ASSERT_TRUE(repaired) << repaired.error().to_string();
  EXPECT_THAT(sentences(repaired->report, Remark::Kind::kRepair), ElementsAre(HasSubstr("vmx: it is empty")));
  const auto meta = parse_meta(repaired->meta_text);
  ASSERT_TRUE(meta);
  EXPECT_EQ(meta->kernel[2].debug_name, "vmx");
  EXPECT_EQ(meta->kernel[2].size, 8u);
  EXPECT_THAT(sentences(repaired->report, Remark::Kind::kNote),
              ElementsAre(HasSubstr("vm: 13.2 reads the TSC")));
}

TEST(WriteSet, DropsNothingThatBelongsToCpusWhichDoNotExist) {
  EngineSet set;
  add_kernel_chunks(set, KernelShape::kA, Vendor::kIntel, {}, {{"vcpu[15].cr0", 5}});
  const ReadSet source = read(set);
  const auto written = set.write(source, KernelShape::kC);
  ASSERT_TRUE(written) << written.error().to_string();
  for (const char* chunk : {"vm", "vmx", "vlapic", "vmcx"}) {
    EXPECT_THAT(fields(written->report, chunk, FieldFate::kDropped), Each(HasSubstr("vcpu[0]."))) << chunk;
  }
  EXPECT_THAT(fields(written->report, "vmcx", FieldFate::kMeaningless), Contains("vcpu[15].cr0"));
  EXPECT_THAT(to_text(written->report, true),
              HasSubstr("  meaningless  420 fields in records of CPUs that the machine does not have\n"));
}

TEST(WriteSet, SaysOnceThatMtrrsAreLost) {
  EngineSet set(Vendor::kIntel, 2);
  add_kernel_chunks(set, KernelShape::kC, Vendor::kIntel, {},
                    {{"vcpu[0].mtrr.def_type", 0xc06}, {"vcpu[1].mtrr.def_type", 0xc06}});
  const ReadSet source = read(set);
  const auto written = set.write(source, KernelShape::kC0);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_THAT(sentences(written->report, Remark::Kind::kLoss), ElementsAre(HasSubstr("vmcx: ")));
  EXPECT_THAT(sentences(written->report, Remark::Kind::kLoss), Each(HasSubstr("MTRRs")));

  EngineSet without(Vendor::kIntel, 2);
  add_kernel_chunks(without, KernelShape::kC, Vendor::kIntel, {}, {});
  const ReadSet plain = read(without);
  const auto as_b = without.write(plain, KernelShape::kB);
  ASSERT_TRUE(as_b) << as_b.error().to_string();
  EXPECT_FALSE(as_b->report.has_losses()) << "they were never set up";
}

TEST(WriteSet, RefusesAQueueThatAHasNoWayToLeaveOut) {
  EngineSet set;
  add_kernel_chunks(set, KernelShape::kC, Vendor::kIntel, {}, {});
  set.add_device("virtio-rnd@pci.0.3.0", {{"vc_nvq", 1}, {"queue[0].vq_qsize", 64}});
  const ReadSet source = read(set);
  const auto written = set.write(source, KernelShape::kA);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(written.error().to_string(),
              AllOf(HasSubstr("virtio-rnd"), HasSubstr("queue[0]"), HasSubstr("later shape")));
}

TEST(WriteSet, NamesTheDeviceThatIsMissing) {
  EngineSet set;
  set.add_kernel("vhpet", "A");
  const ReadSet source = read(set);
  FakeGuestMemory none(0);
  const Machine empty(1, Vendor::kIntel, none);
  const auto written = write_set(empty, source.private_state, set.memory(), {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kInvalidState);
  EXPECT_THAT(written.error().to_string(), AllOf(HasSubstr("system0/hpet@fed00000"), HasSubstr("vhpet")));
}

/// States that no conversion made. None may do more than be refused.
class HostileState : public testing::Test {
 protected:
  HostileState() {
    set.add_kernel("vm", "C");
    set.add_device("virtio-rnd@pci.0.3.0", {{"vc_nvq", 0}});
    set.add_device("ahci@pci.0.4.0", {{"port[0].bctx", 1}});
    source.emplace(read(set));
  }

  /// The sentence with which the state is refused.
  std::string refused(std::optional<KernelShape> shape = {}) {
    const auto written = set.write(*source, shape);
    EXPECT_FALSE(written);
    return written ? "it was written" : written.error().to_string();
  }
  PrivateChunk& chunk(std::size_t index) { return source->private_state.chunks.at(index); }
  static void set_item(PrivateChunk& chunk, std::string path, std::uint64_t value) {
    std::erase_if(chunk.items, [&](const PrivateItem& item) { return item.path == path; });
    chunk.items.push_back({std::move(path), value, {}});
  }

  EngineSet set;
  std::optional<ReadSet> source;
};

TEST_F(HostileState, OfTwoItemsOfOnePathHasTheFirst) {
  chunk(0).items.insert(chunk(0).items.begin(), {"vcpu[0].exc_vector", 1, {}});
  chunk(0).items.push_back({"vcpu[0].exc_vector", 2, {}});
  const auto written = set.write(*source);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(written_field(*written, "vm", "C", set.context, "vcpu[0].exc_vector"), cut(1, 4));
  EXPECT_THAT(fields(written->report, "vm", FieldFate::kDropped), Contains("vcpu[0].exc_vector"));
}

TEST_F(HostileState, HasItemsOfNoFieldInTheReport) {
  chunk(0).items.push_back({"no\x1b[1msuch.path[99999999999]", 1, {}});
  const auto written = set.write(*source);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(kern_of(*written), set.kern);
  const auto dropped = fields(written->report, "vm", FieldFate::kDropped);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_THAT(dropped[0], AllOf(HasSubstr("such.path"), Not(HasSubstr("\x1b"))));
}

TEST_F(HostileState, HasNoItemOfAnotherSizeInAField) {
  chunk(0).items.insert(chunk(0).items.begin(), {"vcpu[0].exc_vector", std::nullopt, ByteVector(5)});
  chunk(0).items.insert(chunk(0).items.begin(), {"startup_cpus", 1, {}});
  const auto written = set.write(*source);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_THAT(fields(written->report, "vm", FieldFate::kDropped),
              AllOf(Contains("vcpu[0].exc_vector"), Contains("startup_cpus")));
}

TEST_F(HostileState, IsRefusedForAChunkThatWouldHaveAnotherSize) {
  ++chunk(0).entry.size;
  EXPECT_THAT(refused(), AllOf(HasSubstr("vm"), HasSubstr("bytes, and would have")));
}

TEST_F(HostileState, IsRefusedForAPlaceBeyondAllFiles) {
  chunk(0).entry.file_offset = ~std::uint64_t{0};
  EXPECT_THAT(refused(), HasSubstr("beyond all files"));
}

TEST_F(HostileState, IsRefusedForCountsThatNoMachineHas) {
  source->private_state.context.cpuset_longs = 0xffffffff;
  EXPECT_THAT(refused(), AllOf(HasSubstr("vm"), HasSubstr("4294967295")));
  source->private_state.context.cpuset_longs = 16;
  source->private_state.context.ahci = Shape::kA;
  set_item(chunk(2), "port[0].ioqsz", 0x7fffffff);
  EXPECT_THAT(refused(), AllOf(HasSubstr("ahci"), HasSubstr("fields")));
  source->private_state.context.rings = Shape::kA;
  set_item(chunk(1), "vc_nvq", 10'000);
  for (int i = 0; i < 10'000; ++i) set_item(chunk(1), fmt::format("queue[{}].vq_qsize", i), 0xffff);
  EXPECT_THAT(refused(), AllOf(HasSubstr("virtio-rnd"), HasSubstr("no chunk of bhyve's has that many")));
}

TEST_F(HostileState, IsRefusedForManyLargeChunks) {
  PrivateState& state = source->private_state;
  state.context.ahci = Shape::kA;
  set_item(chunk(2), "port[0].ioqsz", 40'000);
  for (int slot = 5; slot < 15; ++slot) {
    const auto adapter = source->machine.device(fmt::format("pci0/00:{:02x}.0", slot), "ahci");
    ASSERT_TRUE(adapter);
    **adapter = *source->machine.find("pci0/00:04.0");
    PrivateChunk copy = chunk(2);
    copy.entry.name = fmt::format("ahci@pci.0.{}.0", slot);
    state.chunks.push_back(std::move(copy));
  }
  const auto written = set.write(*source, std::nullopt, true);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_THAT(written.error().to_string(), AllOf(HasSubstr("ahci@pci.0.1"), HasSubstr("all together")));
}

TEST_F(HostileState, IsRefusedWhenADeviceOfAnotherTypeStandsAtThePath) {
  FakeGuestMemory none(0);
  Machine other(1, Vendor::kIntel, none);
  for (const std::string_view path : {"cpu0", "pci0/00:03.0", "pci0/00:04.0"}) {
    ASSERT_TRUE(other.device(path, "acpi_pm"));
  }
  const auto written = write_set(other, source->private_state, set.memory(), {});
  EXPECT_FALSE(written);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
