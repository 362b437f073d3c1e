// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/target_shape.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../convert/mapping_fixture.h"
#include "bhyve/convert/engine/pci_places.h"
#include "bhyve/set/device_name.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr KernelShape kShapes[] = {KernelShape::kA, KernelShape::kB, KernelShape::kC0, KernelShape::kC};
constexpr std::string_view kSaved[] = {"atkbdc", "virtio-net", "virtio-blk", "virtio-rnd", "lpc",    "fbuf",
                                       "xhci",   "e1000",      "ahci",       "ahci-hd",    "ahci-cd"};

bool is_c(KernelShape shape) {
  return shape == KernelShape::kC0 || shape == KernelShape::kC;
}

/// The layouts of the kernel's chunks as docs/bhyve-layouts.md has them.
std::string layout_of(KernelChunk chunk, KernelShape shape, Vendor vendor) {
  const std::string name(to_string(shape));
  const std::string of_vendor = vendor == Vendor::kIntel ? "Intel " : "AMD ";
  switch (chunk) {
    case KernelChunk::kVm:
      return is_c(shape) ? "C" : name;
    case KernelChunk::kVmx:
      return shape == KernelShape::kA ? of_vendor + "A" : shape == KernelShape::kB ? "" : "none";
    case KernelChunk::kVlapic:
      return shape == KernelShape::kA ? "A" : "B";
    case KernelChunk::kVmcx:
      return of_vendor + (vendor == Vendor::kAmd && shape == KernelShape::kC0 ? "B" : name);
    default:
      return "A";
  }
}

/// What a set of a shape without devices has left in its private state.
PrivateState state_of(KernelShape shape, Vendor vendor = Vendor::kIntel) {
  PrivateState state;
  state.vendor = vendor;
  state.context.set_shapes(shape == KernelShape::kA ? Shape::kA : Shape::kB);
  state.kernel_key = is_c(shape) ? KernelKey::kKernStructs : KernelKey::kStructs;
  for (const KernelChunk chunk : all_kernel_chunks()) {
    const std::string layout = layout_of(chunk, shape, vendor);
    if (layout == "none") continue;
    PrivateChunk& kept = state.chunks.emplace_back();
    kept.is_kernel = true;
    kept.layout = layout;
    if (!layout.empty()) kept.chunk = to_string(chunk);
    kept.entry.size = layout.empty() ? 0 : 100;
    if (is_c(shape)) {
      kept.entry.form = EntryForm::kDevice;
      kept.entry.name = to_string(chunk);
    } else {
      kept.entry.request = request_number(chunk);
      kept.entry.debug_name = to_string(chunk);
    }
  }
  return state;
}

/// Adds a device as releases of that form name it; one that nobody knows when there is no layout.
void add_device(PrivateState& state, std::string name, EntryForm form) {
  PrivateChunk& kept = state.chunks.emplace_back();
  kept.entry.form = form;
  kept.entry.size = 100;
  const auto layouts = layouts_of(parse_device_name(name).emulation);
  if (!layouts.empty()) {
    kept.chunk = layouts.front()->chunk;
    kept.layout = layouts.front()->shape;
  }
  kept.entry.name = std::move(name);
}

class TargetShape : public testing::Test {
 protected:
  [[nodiscard]] Machine machine(std::uint32_t vcpus = 1) { return Machine(vcpus, Vendor::kIntel, memory_); }

  [[nodiscard]] TargetFrame frame(KernelShape shape, const PrivateState& state, const Machine& machine) {
    auto frame = frame_for(shape, state, machine);
    EXPECT_TRUE(frame) << frame.error().to_string();
    return frame ? std::move(*frame) : TargetFrame();
  }
  [[nodiscard]] TargetFrame frame(KernelShape shape, const PrivateState& state) {
    const Machine empty = machine();
    return frame(shape, state, empty);
  }

 private:
  FakeGuestMemory memory_{0};
};

/// Names of the devices that have a chunk; with `all`, those that are only named too.
std::vector<std::string> device_names(const TargetFrame& frame, bool all = false) {
  std::vector<std::string> names;
  for (const TargetEntry& target : frame.entries) {
    if (!target.is_kernel && (all || target.layout != nullptr)) names.push_back(target.entry.name);
  }
  return names;
}

std::vector<std::string> losses(const TargetFrame& frame) {
  std::vector<std::string> losses;
  for (const Remark& remark : frame.remarks) {
    if (remark.kind == Remark::Kind::kLoss) losses.push_back(remark.subject);
  }
  return losses;
}

TEST_F(TargetShape, HasTheNamesOfTheReleases) {
  struct {
    std::string_view name;
    KernelShape shape;
  } const cases[] = {{"A", KernelShape::kA},    {"A2", KernelShape::kA},   {"B", KernelShape::kB},
                     {"C0", KernelShape::kC0},  {"C", KernelShape::kC},    {"13.0", KernelShape::kA},
                     {"13.1", KernelShape::kA}, {"13.2", KernelShape::kB}, {"14.0", KernelShape::kC0},
                     {"main", KernelShape::kC}};
  for (const auto& one : cases) {
    const auto shape = parse_shape(one.name);
    ASSERT_TRUE(shape) << one.name;
    EXPECT_EQ(*shape, one.shape) << one.name;
  }
  for (const KernelShape shape : kShapes)
    EXPECT_EQ(parse_shape(to_string(shape)).value_or(KernelShape::kA), shape);
}

TEST_F(TargetShape, IsNoOtherWord) {
  for (const std::string_view word : {"", "a", "D", "13", "14.1", "C ", "\x1b[31m"}) {
    const auto shape = parse_shape(word);
    ASSERT_FALSE(shape) << word;
    EXPECT_EQ(shape.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(shape.error().to_string(), AllOf(HasSubstr("is no shape"), HasSubstr("C0 (14.0)")));
    EXPECT_EQ(shape.error().to_string().find('\x1b'), std::string::npos);
  }
}

TEST_F(TargetShape, IsFoundInWhatWasReadOfEveryShapeAndVendor) {
  for (const KernelShape shape : kShapes) {
    for (const Vendor vendor : {Vendor::kIntel, Vendor::kAmd}) {
      PrivateState state = state_of(shape, vendor);
      EXPECT_EQ(shape_of(state), shape) << to_string(shape);
      const bool at = is_c(shape);
      add_device(state, at ? "virtio-net@pci.0.3.0" : "virtio-net",
                 at ? EntryForm::kDevice : EntryForm::kSnapshotReq);
      add_device(state, "atkbdc", at ? EntryForm::kDevice : EntryForm::kSnapshotReq);
      EXPECT_EQ(shape_of(state), shape) << to_string(shape);
    }
  }
}

TEST_F(TargetShape, IsNoneOfAMixture) {
  PrivateState key = state_of(KernelShape::kC);
  key.kernel_key = KernelKey::kStructs;
  EXPECT_EQ(shape_of(key), std::nullopt);

  PrivateState axes = state_of(KernelShape::kB);
  add_device(axes, "ahci", EntryForm::kSnapshotReq);
  axes.context.ahci = Shape::kA;
  EXPECT_EQ(shape_of(axes), std::nullopt);
  axes.context.ahci = Shape::kB;
  axes.context.xhci = Shape::kA;
  EXPECT_EQ(shape_of(axes), KernelShape::kB) << "there is no xhci";

  PrivateState no_vmx = state_of(KernelShape::kB);
  no_vmx.chunks.erase(no_vmx.chunks.begin() + 2);
  EXPECT_EQ(shape_of(no_vmx), std::nullopt);

  PrivateState form = state_of(KernelShape::kC);
  add_device(form, "atkbdc", EntryForm::kSnapshotReq);
  EXPECT_EQ(shape_of(form), std::nullopt);

  PrivateState unseen = state_of(KernelShape::kC);
  for (PrivateChunk& chunk : unseen.chunks) {
    if (chunk.chunk == "vmcx") chunk.layout = "Intel 856";
  }
  EXPECT_EQ(shape_of(unseen), std::nullopt);
}

TEST_F(TargetShape, HasTheKernelsChunksInOrderAndInItsLayouts) {
  const PrivateState state = state_of(KernelShape::kC);
  for (const KernelShape shape : kShapes) {
    const TargetFrame made = frame(shape, state);
    EXPECT_EQ(made.kernel_key, is_c(shape) ? KernelKey::kKernStructs : KernelKey::kStructs);
    EXPECT_EQ(made.context.shape(Axis::kRings), shape == KernelShape::kA ? Shape::kA : Shape::kB);
    std::size_t at = 0;
    for (const KernelChunk chunk : all_kernel_chunks()) {
      std::string layout = layout_of(chunk, shape, Vendor::kIntel);
      if (layout == "none") continue;
      if (layout.empty()) layout = "B";  // which has no items
      ASSERT_LT(at, made.entries.size());
      const TargetEntry& target = made.entries[at++];
      EXPECT_EQ(target.chunk, to_string(chunk));
      ASSERT_NE(target.layout, nullptr);
      EXPECT_EQ(target.layout->shape, layout) << to_string(shape) << " " << target.chunk;
      EXPECT_EQ(target.entry.request, is_c(shape) ? std::nullopt : std::optional(request_number(chunk)));
      EXPECT_EQ(target.source == nullptr, chunk == KernelChunk::kVmx) << "C has no vmx to take items from";
    }
    EXPECT_TRUE(at == made.entries.size() || !made.entries[at].is_kernel);
  }
}

TEST_F(TargetShape, LooksIntoVmxForVmcxAndTheOtherWayRound) {
  const PrivateState of_a = state_of(KernelShape::kA, Vendor::kAmd);
  const PrivateState of_c = state_of(KernelShape::kC, Vendor::kAmd);
  for (const auto& [made, chunk, beside] : {std::tuple(frame(KernelShape::kC, of_a), "vmcx", "vmx"),
                                            std::tuple(frame(KernelShape::kA, of_c), "vmx", "vmcx")}) {
    for (const TargetEntry& target : made.entries) {
      if (target.chunk != chunk) {
        continue;
      }
      ASSERT_NE(target.beside, nullptr) << chunk;
      EXPECT_EQ(target.beside->chunk, beside);
    }
  }
}

TEST_F(TargetShape, HasRoomForSoManyCpusAndNoMore) {
  const PrivateState state = state_of(KernelShape::kC);
  struct {
    KernelShape shape;
    std::uint32_t most;
  } const cases[] = {
      {KernelShape::kA, 16}, {KernelShape::kB, 256}, {KernelShape::kC0, 1024}, {KernelShape::kC, 1024}};
  for (const auto& one : cases) {
    const Machine fits = machine(one.most);
    EXPECT_TRUE(frame_for(one.shape, state, fits));
    const Machine too_many = machine(one.most + 1);
    const auto refused = frame_for(one.shape, state, too_many);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(refused.error().to_string(),
                AllOf(HasSubstr(fmt::format("{} CPUs", one.most + 1)), HasSubstr("choose another shape")));
  }
}

TEST_F(TargetShape, NamesTheOneDeviceOfEachKindAndTheEmptyRestInAAndB) {
  PrivateState state = state_of(KernelShape::kC);
  for (const std::string_view name : {"hostbridge@pci.0.0.0", "virtio-blk@pci.0.3.0", "virtio-net@pci.0.2.0",
                                      "virtio-blk@pci.0.4.0", "lpc@pci.0.31.0", "dummy@pci.0.9.0"}) {
    add_device(state, std::string(name), EntryForm::kDevice);
  }
  add_device(state, "atkbdc", EntryForm::kDevice);
  for (const KernelShape shape : {KernelShape::kA, KernelShape::kB}) {
    const TargetFrame made = frame(shape, state);
    EXPECT_THAT(device_names(made), ElementsAre("atkbdc", "virtio-net", "virtio-blk", "lpc"));
    EXPECT_THAT(device_names(made, true), testing::ElementsAreArray(kSaved));
    EXPECT_THAT(losses(made), ElementsAre("virtio-blk@pci.0.4.0", "dummy@pci.0.9.0"))
        << "bhyve makes its host bridge";
    for (const TargetEntry& target : made.entries) {
      EXPECT_EQ(target.entry.form, EntryForm::kSnapshotReq);
      if (target.entry.name == "virtio-blk") {
        EXPECT_EQ(target.device_path, "pci0/00:03.0");
        ASSERT_NE(target.source, nullptr) << "what is private to the chunk of the other name is not lost";
        EXPECT_EQ(target.source->entry.name, "virtio-blk@pci.0.3.0");
      }
    }
  }
}

TEST_F(TargetShape, NamesEveryFunctionByItsPlaceInC) {
  PrivateState state = state_of(KernelShape::kA);
  for (const std::string_view name : {"atkbdc", "virtio-net", "ahci-hd", "ahci-cd"}) {
    add_device(state, std::string(name), EntryForm::kSnapshotReq);
  }
  Machine with_bridge = machine();
  ASSERT_TRUE(with_bridge.device(kHostBridgePath, "pci_host"));
  for (const KernelShape shape : {KernelShape::kC0, KernelShape::kC}) {
    const TargetFrame made = frame(shape, state, with_bridge);
    EXPECT_THAT(device_names(made), ElementsAre("hostbridge@pci.0.0.0", "virtio-net@pci.0.1.0",
                                                "ahci@pci.0.2.0", "ahci@pci.0.3.0", "atkbdc"));
    EXPECT_THAT(losses(made), IsEmpty());
    ASSERT_EQ(made.remarks.size(), 3u) << "the places are invented";
    EXPECT_EQ(made.remarks[0].kind, Remark::Kind::kNote);
    EXPECT_THAT(made.remarks[0].sentence, HasSubstr("pci0/00:01.0"));
  }
}

TEST_F(TargetShape, OrdersFunctionsByTheirPlaceInC) {
  PrivateState state = state_of(KernelShape::kC);
  for (const std::string_view name : {"virtio-net@pci.1.0.0", "atkbdc", "virtio-blk@pci.0.10.0",
                                      "e1000-pci-0-9-1", "hostbridge@pci.0.0.0"}) {
    add_device(state, std::string(name), EntryForm::kDevice);
  }
  EXPECT_THAT(device_names(frame(KernelShape::kC0, state)),
              ElementsAre("hostbridge@pci.0.0.0", "e1000@pci.0.9.1", "virtio-blk@pci.0.10.0",
                          "virtio-net@pci.1.0.0", "atkbdc"));
}

TEST_F(TargetShape, KnowsAnAhciControllerUnderAllItsNames) {
  PrivateState state = state_of(KernelShape::kA);
  add_device(state, "ahci-cd", EntryForm::kSnapshotReq);
  EXPECT_THAT(device_names(frame(KernelShape::kB, state)), ElementsAre("ahci")) << "13.2 knows no other name";
  EXPECT_THAT(device_names(frame(KernelShape::kC, state)), ElementsAre("ahci@pci.0.1.0"));
}

TEST_F(TargetShape, GivesControllersOfOneDriveTheNamesThatAHasForThem) {
  PrivateState state = state_of(KernelShape::kC);
  Machine with_drives = machine();
  for (const int slot : {3, 4, 5, 6}) {
    add_device(state, fmt::format("ahci@pci.0.{}.0", slot), EntryForm::kDevice);
    const auto adapter = with_drives.device(fmt::format("pci0/00:{:02x}.0", slot), "ahci");
    ASSERT_TRUE(adapter);
    ASSERT_TRUE((*adapter)->append("ports"));
    ASSERT_TRUE((*adapter)->set("ports[0].drive.packet_device", slot == 4));
  }
  const TargetFrame made = frame(KernelShape::kA, state, with_drives);
  EXPECT_THAT(device_names(made), ElementsAre("ahci", "ahci-hd", "ahci-cd"));
  std::vector<std::string> paths;
  for (const TargetEntry& target : made.entries) {
    if (target.chunk == "ahci") paths.push_back(target.device_path);
  }
  EXPECT_THAT(paths, ElementsAre("pci0/00:03.0", "pci0/00:05.0", "pci0/00:04.0"));
  EXPECT_THAT(losses(made), ElementsAre("ahci@pci.0.6.0"));
  EXPECT_THAT(made.remarks.front().sentence, HasSubstr("-s SLOT,ahci-hd,FILE"));
}

TEST_F(TargetShape, SaysWhichChunksNobodyKnows) {
  PrivateState state = state_of(KernelShape::kC);
  add_device(state, "nvme@pci.0.7.0", EntryForm::kDevice);
  PrivateChunk& kernel = state.chunks.emplace_back();
  kernel.is_kernel = true;
  kernel.entry.form = EntryForm::kDevice;
  kernel.entry.name = "vnew";
  kernel.entry.size = 8;
  const TargetFrame made = frame(KernelShape::kC0, state);
  EXPECT_THAT(losses(made), ElementsAre("nvme@pci.0.7.0", "vnew"));
  EXPECT_THAT(device_names(made, true), IsEmpty());
}

TEST_F(TargetShape, OfTheFrameThatWasReadIsLeftAsItWas) {
  PrivateState state = state_of(KernelShape::kB);
  add_device(state, "nvme", EntryForm::kSnapshotReq);
  state.devices_key = DevicesKey::kPciDevices;
  const auto same = frame_of(state);
  ASSERT_TRUE(same) << same.error().to_string();
  EXPECT_EQ(same->devices_key, DevicesKey::kPciDevices);
  ASSERT_EQ(same->entries.size(), state.chunks.size());
  for (std::size_t i = 0; i < state.chunks.size(); ++i) {
    EXPECT_EQ(same->entries[i].entry, state.chunks[i].entry);
    EXPECT_EQ(same->entries[i].source, &state.chunks[i]);
    EXPECT_EQ(same->entries[i].beside, nullptr);
    EXPECT_EQ(same->entries[i].layout == nullptr, state.chunks[i].chunk.empty());
  }
}

TEST_F(TargetShape, IsRefusedForALayoutThatNobodyKnows) {
  PrivateState state = state_of(KernelShape::kC);
  state.chunks[1].layout = "\x1bZ";
  const auto same = frame_of(state);
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(same.error().to_string(), AllOf(HasSubstr("bhyve_private"), HasSubstr("of \"vm\"")));
  EXPECT_EQ(same.error().to_string().find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
