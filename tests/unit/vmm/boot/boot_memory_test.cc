// SPDX-License-Identifier: BSD-2-Clause
#include "boot/boot_memory.h"

#include <gtest/gtest.h>

#include "images.h"

namespace vmsnap::vmm {
namespace {

TEST(FlatSegments, TheSegmentRegistersSayWhatTheDescriptorsInMemorySay) {
  for (const BootMode mode : {BootMode::kLong64, BootMode::kProtected32}) {
    const GuestMemory memory = memory_of(2 * kMiB);
    BootState state;
    state.mode = mode;
    ASSERT_TRUE(boot::put_flat_segments(memory, state));
    EXPECT_EQ(state.code.is_64bit, mode == BootMode::kLong64);
    EXPECT_EQ(state.code.default_32bit, mode == BootMode::kProtected32);
    for (const BootSegment& segment : {state.code, state.data}) {
      ASSERT_LE(segment.selector + 7, state.gdt_limit);
      const auto descriptor = value_at<std::uint64_t>(memory, state.gdt_base.value() + segment.selector);
      EXPECT_EQ(descriptor & 0xffff, segment.limit >> 12 & 0xffff);
      EXPECT_EQ((descriptor >> 40) & 0xf, segment.type);
      EXPECT_EQ((descriptor >> 44) & 1, segment.code_or_data ? 1u : 0u);
      EXPECT_EQ((descriptor >> 47) & 1, 1u);
      EXPECT_EQ((descriptor >> 48) & 0xf, segment.limit >> 28);
      EXPECT_EQ((descriptor >> 53) & 1, segment.is_64bit ? 1u : 0u);
      EXPECT_EQ((descriptor >> 54) & 1, segment.default_32bit ? 1u : 0u);
      EXPECT_EQ((descriptor >> 55) & 1, segment.page_granularity ? 1u : 0u);
    }
  }
}

}  // namespace
}  // namespace vmsnap::vmm
