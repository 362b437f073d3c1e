// SPDX-License-Identifier: BSD-2-Clause
#include "core/guest_memory.h"

#include <gtest/gtest.h>

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(GuestMemory, SmallMemoryIsOneSegmentFromAddressZero) {
  const MemoryMap map = GuestMemory::layout(512 * kMiB);
  ASSERT_EQ(map.segments.size(), 1u);
  EXPECT_EQ(map.segments[0].size, 512 * kMiB);
  EXPECT_EQ(map.mappings[0].guest_address, Gpa(0));
}

TEST(GuestMemory, MemoryAboveTheHoleBeginsAtFourGiB) {
  const MemoryMap map = GuestMemory::layout(8 * kGiB);
  ASSERT_EQ(map.segments.size(), 2u);
  EXPECT_EQ(map.segments[0].size, 3 * kGiB);
  EXPECT_EQ(map.segments[1].size, 5 * kGiB);
  EXPECT_EQ(map.mappings[1].guest_address, Gpa(4 * kGiB));
}

TEST(GuestMemory, FindsOnlyWhatLiesInsideOneMapping) {
  MemoryMap map;
  map.segments = {{0, "low", SegmentKind::kSystemMemory, 8192},
                  {1, "high", SegmentKind::kSystemMemory, 4096}};
  map.mappings = {{0, 0, Gpa(0), 8192, false}, {1, 0, Gpa(0x10000), 4096, false}};
  const auto memory = GuestMemory::allocate(map);
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->find(Gpa(0), 8192));
  EXPECT_FALSE(memory->find(Gpa(0), 8193));
  EXPECT_FALSE(memory->find(Gpa(8192), 1));
  EXPECT_FALSE(memory->find(Gpa(~std::uint64_t{0}), 1));
  EXPECT_FALSE(memory->find(Gpa(4096), ~std::uint64_t{0}));
  const auto high = memory->find(Gpa(0x10ff8), 8);
  ASSERT_TRUE(high);
  EXPECT_EQ(high->data(), memory->segment(1).data() + 0xff8);
}

TEST(GuestMemory, ReadsBackWhatWasWrittenAndRefusesTheHole) {
  const auto memory = GuestMemory::allocate(GuestMemory::layout(kMiB));
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->write(Gpa(0x7000), as_byte_view("hello")));
  ByteVector out(5);
  EXPECT_TRUE(memory->read(Gpa(0x7000), out));
  EXPECT_EQ(std::memcmp(out.data(), "hello", 5), 0);
  EXPECT_FALSE(memory->write(Gpa(kMiB - 2), as_byte_view("hello")));
}

TEST(GuestMemory, RefusesMappingsThatDoNotFitTheMap) {
  std::vector<Mapping> mappings;
  auto mapping = Mapping::anonymous(4096);
  ASSERT_TRUE(mapping);
  mappings.push_back(std::move(*mapping));
  const auto memory = GuestMemory::adopt(GuestMemory::layout(8192), std::move(mappings), {}, nullptr);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().kind(), ErrorKind::kInvalidState);
}

}  // namespace
}  // namespace vmsnap::vmm
