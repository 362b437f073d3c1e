// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/chosen_layouts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../set/legacy_files.h"
#include "bhyve/layout/layouts.h"
#include "bhyve/set/device_name.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A set of all the kernel's chunks and some devices, and a verdict that knows them all.
class ChosenLayoutsTest : public testing::Test {
 protected:
  ChosenLayoutsTest() {
    meta_.ncpus = 3;
    meta_.memsize = 4096;
    meta_.kernel_key = KernelKey::kKernStructs;
    for (const KernelChunk chunk : all_kernel_chunks()) {
      if (chunk != KernelChunk::kVmx) add(meta_.kernel, std::string(to_string(chunk)));
    }
  }

  static void add(std::vector<MetaEntry>& entries, std::string name, std::uint64_t size = 100) {
    MetaEntry& entry = entries.emplace_back();
    entry.form = EntryForm::kDevice;
    entry.name = std::move(name);
    entry.size = size;
  }
  void add_device(std::string name, std::uint64_t size = 100) { add(meta_.devices, std::move(name), size); }

  /// Writes the set and judges it.
  void judge() {
    const auto text = write_meta(meta_);
    ASSERT_TRUE(text) << text.error().to_string();
    files_.emplace(*text, 4096, 4096);
    auto opened = LegacySet::open(files_->path());
    ASSERT_TRUE(opened) << opened.error().to_string();
    set_.emplace(std::move(*opened));
    verdict_.ncpus = 3;
    verdict_.vendor = Vendor::kAmd;
    verdict_.context.vcpus = 3;
    for (const MetaEntry& entry : set_->meta().kernel)
      judge(entry, true, layout_in(entry.name, "C", Vendor::kAmd));
    for (const MetaEntry& entry : set_->meta().devices) {
      const auto layouts = layouts_of(parse_device_name(entry.name).emulation);
      judge(entry, false, layouts.empty() ? nullptr : layouts.front());
    }
  }
  ClassifiedEntry& device(std::size_t index) { return verdict_.entries.at(meta_.kernel.size() + index); }
  [[nodiscard]] Result<ChosenLayouts> choose() const { return choose_layouts(*set_, verdict_); }
  [[nodiscard]] ChosenLayout chosen_device(std::size_t index) const {
    const auto chosen = choose();
    EXPECT_TRUE(chosen) << chosen.error().to_string();
    return chosen ? chosen->entries.at(meta_.kernel.size() + index) : ChosenLayout();
  }

  Meta meta_;
  std::optional<LegacySet> set_;
  Verdict verdict_;

 private:
  void judge(const MetaEntry& entry, bool is_kernel, const Layout* layout) {
    verdict_.entries.push_back(
        {&entry, is_kernel, layout, verdict_.context, 0, layout == nullptr ? "nobody knows it" : ""});
  }
  std::optional<LegacyFiles> files_;
};

TEST_F(ChosenLayoutsTest, AreThoseOfTheVerdict) {
  add_device("lpc@pci.0.31.0");
  judge();
  device(0).context.uarts = 4;
  const auto chosen = choose();
  ASSERT_TRUE(chosen) << chosen.error().to_string();
  EXPECT_EQ(chosen->vendor, Vendor::kAmd);
  EXPECT_EQ(chosen->vcpus, 3u);
  EXPECT_EQ(chosen->context.uarts, 4u) << "what one chunk has holds for all";
  ASSERT_EQ(chosen->entries.size(), meta_.kernel.size() + 1);
  for (const ChosenLayout& one : chosen->entries) EXPECT_NE(one.layout, nullptr) << one.why_not;
}

TEST_F(ChosenLayoutsTest, AreNoneForChunksThatAreEmptyOrNotKnown) {
  add_device("nvme@pci.0.3.0");
  add_device("virtio-net", 0);
  judge();
  EXPECT_EQ(chosen_device(0).layout, nullptr);
  EXPECT_EQ(chosen_device(0).why_not, "nobody knows it");
  EXPECT_EQ(chosen_device(1).layout, nullptr);
  EXPECT_EQ(chosen_device(1).why_not, "");
}

TEST_F(ChosenLayoutsTest, AreNoneForASecondChunkOfTheSameName) {
  add_device("virtio-net@pci.0.3.0");
  add_device("virtio-net@pci.0.3.0");
  judge();
  EXPECT_NE(chosen_device(0).layout, nullptr);
  EXPECT_EQ(chosen_device(1).layout, nullptr);
  EXPECT_THAT(chosen_device(1).why_not, HasSubstr("another chunk of the same name"));
}

TEST_F(ChosenLayoutsTest, AreNoneForADeviceThatIsLaidOutInAnotherWayThanTheOthers) {
  add_device("virtio-net@pci.0.3.0");
  add_device("ahci@pci.0.4.0");
  judge();
  device(0).context.xhci = Shape::kA;  // which a network adapter does not depend on
  device(1).context.pci_prefix = Shape::kA;
  EXPECT_NE(chosen_device(0).layout, nullptr);
  EXPECT_EQ(chosen_device(1).layout, nullptr);
  EXPECT_THAT(chosen_device(1).why_not, HasSubstr("laid out in another way"));
}

TEST_F(ChosenLayoutsTest, AreRefusedWithoutAChunkThatEveryGuestNeeds) {
  judge();
  for (ClassifiedEntry& one : verdict_.entries) {
    if (one.entry->name == "vlapic") one.layout = nullptr;
  }
  const auto chosen = choose();
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(chosen.error().to_string(),
              AllOf(HasSubstr("vlapic"), HasSubstr(".meta"), HasSubstr("no guest")));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
