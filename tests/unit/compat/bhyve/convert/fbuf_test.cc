// SPDX-License-Identifier: BSD-2-Clause
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

TEST(Fbuf, NamesTheSegmentOfItsPixelsAndLeavesThemToTheFile) {
  ByteVector pixels(16 << 20);
  pixels.back() = std::byte{0xff};
  MappingRun run("fbuf", "by axes", {}, {{"framebuffer", pixels}}, Vendor::kIntel, "pci0/00:1d.0");
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("framebuffer"));
  EXPECT_EQ(run.field<std::string>("pci0/00:1d.0", "segment"), "framebuffer");
  EXPECT_EQ(run.field<std::uint8_t>("pci0/00:1d.0", "memory_bar"), 1);
  EXPECT_EQ(run.field<std::optional<std::uint16_t>>("pci0/00:1d.0", "mode.width"), std::nullopt);
  EXPECT_THAT(run.not_in_file(), Contains("mode"));
}

TEST(Dummy, IsNoHardware) {
  MappingRun run("dummy", "by axes", {}, {{"config_space", ByteVector(256, std::byte{7})}}, Vendor::kIntel,
                 "pci0/00:07.0");
  EXPECT_THAT(run.kept_after_both_ways(), Contains("config_space"));
  EXPECT_TRUE(run.machine().devices().empty());
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
