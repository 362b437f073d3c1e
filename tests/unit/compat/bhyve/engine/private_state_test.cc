// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/private_state.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "../convert/mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::HasSubstr;

PrivateState sample() {
  PrivateState state;
  state.vendor = Vendor::kAmd;
  state.context.pci_prefix = Shape::kA;
  state.context.xhci = Shape::kA;
  state.context.uarts = 2;
  state.context.usb_devices = 0;
  state.vm_name = "guest \xff";
  state.memflags = ~std::uint64_t{0};
  state.kernel_key = KernelKey::kKernStructs;
  state.devices_key = DevicesKey::kPciDevices;
  state.meta_text = std::string("{\0}", 3);

  PrivateChunk kernel;
  kernel.chunk = "vhpet";
  kernel.layout = "A";
  kernel.is_kernel = true;
  kernel.entry.request = 0;
  kernel.entry.debug_name = "";
  kernel.entry.size = 284;
  kernel.devices = {"system0/hpet@fed00000", "isa0/rtc@70"};
  kernel.items = {
      {"freq_sbt", 0, {}}, {"timer[7].msireg", ~std::uint64_t{0}, {}}, {"tail", std::nullopt, bytes_of({1})}};
  state.chunks.push_back(kernel);

  PrivateChunk unknown;
  unknown.entry.form = EntryForm::kDevice;
  unknown.entry.name = "nvme@pci.0.3.0";
  unknown.entry.size = 2;
  unknown.entry.file_offset = ~std::uint64_t{0};
  unknown.items = {{"chunk", std::nullopt, bytes_of({7, 8})}, {"empty", std::nullopt, {}}};
  state.chunks.push_back(unknown);
  state.gaps = {{0x100, bytes_of({1, 2, 3})}, {~std::uint64_t{0}, {}}};
  return state;
}

class PrivateStateTest : public testing::Test {
 protected:
  StateTree& tree() {
    const auto made = machine_.device(kPrivatePath, kPrivateType);
    EXPECT_TRUE(made);
    return **made;
  }

  /// The state after a trip through its file.
  Result<PrivateState> stored() {
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector file, tree().encode());
    VMSNAP_ASSIGN_OR_RETURN(const StateTree read, StateTree::decode(tree().model(), file));
    return from_tree(read);
  }

  /// The sentence about a sample that was spoiled.
  std::string refused(const std::function<Result<void>(StateTree&)>& spoil) {
    EXPECT_TRUE(to_tree(sample(), tree()));
    const auto spoilt = spoil(tree());
    EXPECT_TRUE(spoilt) << spoilt.error().to_string();
    const auto state = stored();
    EXPECT_FALSE(state);
    if (state) return "it was taken";
    EXPECT_EQ(state.error().kind(), ErrorKind::kCorrupt);
    return state.error().to_string();
  }

 private:
  FakeGuestMemory memory_{0};
  Machine machine_{1, Vendor::kIntel, memory_};
};

void expect_same(const PrivateChunk& one, const PrivateChunk& other) {
  EXPECT_EQ(one.chunk, other.chunk);
  EXPECT_EQ(one.layout, other.layout);
  EXPECT_EQ(one.is_kernel, other.is_kernel);
  EXPECT_EQ(one.entry, other.entry);
  EXPECT_EQ(one.devices, other.devices);
  ASSERT_EQ(one.items.size(), other.items.size());
  for (std::size_t i = 0; i < one.items.size(); ++i) {
    EXPECT_EQ(one.items[i].path, other.items[i].path);
    EXPECT_EQ(one.items[i].value, other.items[i].value);
    EXPECT_EQ(one.items[i].bytes, other.items[i].bytes);
  }
}

TEST_F(PrivateStateTest, ComesBackFromItsChunkAsItWas) {
  ASSERT_TRUE(to_tree(sample(), tree()));
  const auto state = stored();
  ASSERT_TRUE(state) << state.error().to_string();
  const PrivateState expected = sample();
  EXPECT_EQ(state->vendor, Vendor::kAmd);
  for (const Axis axis : {Axis::kPciPrefix, Axis::kRings, Axis::kNetTail, Axis::kAhci, Axis::kXhci}) {
    EXPECT_EQ(state->context.shape(axis), expected.context.shape(axis));
  }
  EXPECT_EQ(state->context.uarts, 2u);
  EXPECT_EQ(state->context.cpuset_longs, std::nullopt);
  EXPECT_EQ(state->context.usb_devices, 0u);
  EXPECT_EQ(state->memflags, expected.memflags);
  EXPECT_EQ(state->kernel_key, expected.kernel_key);
  EXPECT_EQ(state->devices_key, expected.devices_key);
  EXPECT_EQ(state->meta_text, expected.meta_text);
  EXPECT_EQ(state->vm_name, expected.vm_name);
  ASSERT_EQ(state->chunks.size(), expected.chunks.size());
  for (std::size_t i = 0; i < expected.chunks.size(); ++i) expect_same(state->chunks[i], expected.chunks[i]);
  ASSERT_EQ(state->gaps.size(), 2u);
  EXPECT_EQ(state->gaps[0].file_offset, 0x100u);
  EXPECT_EQ(state->gaps[0].bytes, bytes_of({1, 2, 3}));
  EXPECT_EQ(state->gaps[1].file_offset, ~std::uint64_t{0});
}

TEST_F(PrivateStateTest, OfNothingComesBackAsNothing) {
  ASSERT_TRUE(to_tree({}, tree()));
  const auto state = stored();
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->vm_name, std::nullopt);
  EXPECT_EQ(state->memflags, std::nullopt);
  EXPECT_EQ(state->meta_text, std::nullopt);
  EXPECT_TRUE(state->chunks.empty());
  EXPECT_TRUE(state->gaps.empty());
}

TEST_F(PrivateStateTest, RefusesAVendorThatItDoesNotKnow) {
  for (const int vendor : {0, 3, 255}) {
    EXPECT_THAT(refused([&](StateTree& state) { return state.set("vendor", vendor); }),
                AllOf(HasSubstr("vendor"), HasSubstr(fmt::format("{} is neither Intel", vendor))));
  }
}

TEST_F(PrivateStateTest, RefusesNumbersThatStandForNothing) {
  for (const std::string_view field :
       {"context.pci_prefix", "context.rings", "context.net_tail", "context.ahci", "context.xhci",
        "kernel_key", "devices_key", "chunks[1].form"}) {
    for (const int number : {2, 255}) {
      EXPECT_THAT(refused([&](StateTree& state) { return state.set(field, number); }),
                  AllOf(HasSubstr(field), HasSubstr(fmt::format("{} is no value", number))));
    }
  }
}

TEST_F(PrivateStateTest, RefusesAnItemThatIsANumberAndBytesAtOnce) {
  EXPECT_THAT(refused([](StateTree& state) { return state.set("chunks[0].items[1].bytes", bytes_of({1})); }),
              AllOf(HasSubstr("chunks[0].items[1].value"), HasSubstr("at once")));
}

TEST_F(PrivateStateTest, RefusesMoreChunksThanAMetaFileCanHave) {
  EXPECT_THAT(refused([](StateTree& state) -> Result<void> {
                for (std::size_t i = state.count("chunks").value(); i <= kMaxMetaEntries; ++i) {
                  VMSNAP_ASSIGN_OR_RETURN(const std::size_t at, state.append("chunks"));
                  for (const std::string_view part : {"chunk", "layout", "items"}) {
                    VMSNAP_RETURN_IF_ERROR(state.make(fmt::format("chunks[{}].{}", at, part)));
                  }
                }
                return {};
              }),
              AllOf(HasSubstr("chunks"), HasSubstr("too many")));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
