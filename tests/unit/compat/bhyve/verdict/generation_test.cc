// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "bhyve/layout/layouts.h"
#include "bhyve/verdict/record_shape.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;

TEST(Generations, HaveANameByWhichTheyAreFound) {
  std::vector<std::string_view> names;
  for (const GenerationTraits& traits : all_generations()) {
    const Generation generation = traits.generation;
    names.push_back(to_string(generation));
    EXPECT_EQ(generation_by_name(to_string(generation)), generation);
    EXPECT_TRUE(releases_of(generation).starts_with("FreeBSD "));
  }
  EXPECT_THAT(names, ElementsAre("A", "A2", "B", "C0", "C"));
  EXPECT_EQ(generation_by_name("D"), std::nullopt);
  EXPECT_EQ(generation_by_name("c"), std::nullopt);
  EXPECT_EQ(generation_by_name(""), std::nullopt);
}

TEST(Generations, AAndA2HaveTheSameShapesAndAllOthersDiffer) {
  const std::string_view axes[] = {axis::kMeta,  axis::kNames,   axis::kVm,     axis::kCpuset,
                                   axis::kVmx,   axis::kVmcx,    axis::kVlapic, axis::kPrefix,
                                   axis::kRings, axis::kNetTail, axis::kAhci,   axis::kXhci};
  for (const Vendor vendor : {Vendor::kIntel, Vendor::kAmd}) {
    std::set<std::string> all;
    for (const GenerationTraits& traits : all_generations()) {
      const Generation generation = traits.generation;
      std::string shapes;
      for (const std::string_view axis : axes) {
        EXPECT_FALSE(shape_in(generation, vendor, axis).empty()) << axis;
        shapes += shape_in(generation, vendor, axis) + ' ';
      }
      all.insert(shapes);
    }
    EXPECT_EQ(all.size(), 4u);
  }
}

TEST(Generations, SayNothingByAnAxisThatDoesNotTellThemApart) {
  EXPECT_EQ(shape_in(Generation::kC, Vendor::kIntel, axis::kUarts), "");
  EXPECT_EQ(shape_in(Generation::kC, Vendor::kIntel, "moon"), "");
}

TEST(Generations, HaveTheLayoutsThatTheirRowsName) {
  for (const GenerationTraits& traits : all_generations()) {
    for (const Vendor vendor : {Vendor::kIntel, Vendor::kAmd}) {
      const Layout* vmcx = layout_in("vmcx", to_string(traits.generation), vendor);
      ASSERT_NE(vmcx, nullptr) << traits.name;
      EXPECT_EQ(record_shape(*vmcx), shape_in(traits.generation, vendor, axis::kVmcx));
      const Layout* vmx = layout_in("vmx", to_string(traits.generation), vendor);
      EXPECT_EQ(vmx != nullptr, traits.vmx != "none") << traits.name;
    }
    const Layout* vm = layout_in("vm", to_string(traits.generation), Vendor::kIntel);
    ASSERT_NE(vm, nullptr) << traits.name;
    EXPECT_EQ(vm->shape, traits.vm);
    EXPECT_EQ(traits_of(traits.shape).shape, traits.shape);
  }
}

TEST(RecordShape, NamesVendorAndBytesOfARecord) {
  const auto shape = [](std::string_view chunk, std::string_view layout) {
    return record_shape(*find_layout(chunk, layout));
  };
  EXPECT_EQ(shape("vmcx", "Intel A"), "intel-376");
  EXPECT_EQ(shape("vmcx", "Intel B"), "intel-600");
  EXPECT_EQ(shape("vmcx", "Intel C0"), "intel-664");
  EXPECT_EQ(shape("vmcx", "Intel 856"), "intel-856");
  EXPECT_EQ(shape("vmcx", "Intel C"), "intel-920");
  EXPECT_EQ(shape("vmcx", "AMD A"), "amd-496");
  EXPECT_EQ(shape("vmcx", "AMD B"), "amd-772");
  EXPECT_EQ(shape("vmcx", "AMD C"), "amd-1028");
  EXPECT_EQ(shape("vlapic", "A"), "any-4173");
  EXPECT_EQ(shape("vlapic", "B"), "any-4169");
}

TEST(RecordShape, OfGenerationAHas16RecordsWhateverTheMachineHas) {
  EXPECT_TRUE(has_fixed_records(*find_layout("vmcx", "Intel A")));
  EXPECT_TRUE(has_fixed_records(*find_layout("vm", "A")));
  EXPECT_FALSE(has_fixed_records(*find_layout("vmcx", "Intel B")));
  EXPECT_FALSE(has_fixed_records(*find_layout("vrtc", "A")));
}

TEST(RecordShape, OfEveryGenerationIsThatOfALayout) {
  std::set<std::string> known;
  for (const Layout* layout : layouts_of("vmcx")) known.insert(record_shape(*layout));
  for (const GenerationTraits& traits : all_generations()) {
    for (const Vendor vendor : {Vendor::kIntel, Vendor::kAmd})
      EXPECT_TRUE(known.contains(shape_in(traits.generation, vendor, axis::kVmcx)));
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
