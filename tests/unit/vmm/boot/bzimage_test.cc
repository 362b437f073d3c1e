// SPDX-License-Identifier: BSD-2-Clause
#include "boot/bzimage.h"

#include <gtest/gtest.h>

#include "boot/boot_memory.h"
#include "images.h"

namespace vmsnap::vmm {
namespace {

const std::string kPayload = std::string(0x200, 'a') + "entry point of the kernel";

Result<BootState> boot_image(const GuestMemory& memory, ByteView image, std::string_view command_line = "",
                             const File* initrd = nullptr) {
  return load_kernel(memory, file_of(image), initrd, command_line);
}

TEST(BzImage, StartsInLongModeAtTheEntryOfTheKernelAtItsPreferredAddress) {
  const GuestMemory memory = memory_of(64 * kMiB);
  const auto state = boot_image(memory, bzimage_of(kPayload), "console=ttyS0");
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->mode, BootMode::kLong64);
  EXPECT_EQ(state->rip, 16 * kMiB + 0x200);
  EXPECT_EQ(text_at(memory, state->rip, 11), "entry point");
  EXPECT_EQ(state->cr0, 0x80000031u);
  EXPECT_EQ(state->cr4, 0x20u);
  EXPECT_EQ(state->efer, 0x500u);
  EXPECT_EQ(state->rflags, 2u);
  EXPECT_EQ(state->code.selector, 0x10);
  EXPECT_TRUE(state->code.is_64bit);
  EXPECT_EQ(state->data.selector, 0x18);
}

TEST(BzImage, TheFirstFourGiBAreMappedToThemselves) {
  const GuestMemory memory = memory_of(64 * kMiB);
  const auto state = boot_image(memory, bzimage_of(kPayload));
  ASSERT_TRUE(state);
  for (const std::uint64_t address : {0x0ull, 0x1000000ull, 0xbfe00000ull, 0xfee00000ull, 0xffe00000ull}) {
    const auto level4 = value_at<std::uint64_t>(memory, state->cr3 + (address >> 39) * 8);
    ASSERT_TRUE(level4 & 1);
    const auto level3 = value_at<std::uint64_t>(memory, (level4 & ~0xfffull) + ((address >> 30) & 511) * 8);
    ASSERT_TRUE(level3 & 1);
    const auto level2 = value_at<std::uint64_t>(memory, (level3 & ~0xfffull) + ((address >> 21) & 511) * 8);
    EXPECT_EQ(level2, address | 0x83);
  }
}

TEST(BzImage, TheZeroPageHoldsTheSetupHeaderAndWhatTheLoaderAdds) {
  const GuestMemory memory = memory_of(64 * kMiB);
  const auto state = boot_image(memory, bzimage_of(kPayload), "root=/dev/vda ro");
  ASSERT_TRUE(state);
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x202), 0x53726448u);
  EXPECT_EQ(value_at<std::uint8_t>(memory, state->rsi + 0x210), 0xff);
  EXPECT_EQ(value_at<std::uint64_t>(memory, state->rsi + 0x250), 0u) << "a setup_data list of the file's";
  EXPECT_EQ(value_at<std::uint64_t>(memory, state->rsi + 0x70), platform::kAcpiTablesBase.value());
  const auto command_line = value_at<std::uint32_t>(memory, state->rsi + 0x228);
  EXPECT_EQ(text_at(memory, command_line, 17), std::string("root=/dev/vda ro\0", 17));
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x218), 0u);
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x21c), 0u);
}

TEST(BzImage, TheE820TableTellsOfLowRamTheReservedHolesAndHighRam) {
  const GuestMemory memory = memory_of(4096 * kMiB);
  const auto state = boot_image(memory, bzimage_of(kPayload));
  ASSERT_TRUE(state);
  struct Entry {
    std::uint64_t start, size;
    std::uint32_t type;
  };
  const Entry expected[] = {{0, 0xa0000, 1},
                            {0xa0000, 0x60000, 2},
                            {0x100000, 0xc0000000 - 0x100000, 1},
                            {0xfffbc000, 0x44000, 2},
                            {0x100000000, 0x40000000, 1}};
  ASSERT_EQ(value_at<std::uint8_t>(memory, state->rsi + 0x1e8), std::size(expected));
  std::uint64_t at = state->rsi + 0x2d0;
  for (const Entry& entry : expected) {
    EXPECT_EQ(value_at<std::uint64_t>(memory, at), entry.start);
    EXPECT_EQ(value_at<std::uint64_t>(memory, at + 8), entry.size);
    EXPECT_EQ(value_at<std::uint32_t>(memory, at + 16), entry.type);
    at += 20;
  }
}

TEST(BzImage, TheInitrdGoesAsHighAsMemoryAllows) {
  const GuestMemory memory = memory_of(64 * kMiB);
  const File initrd = file_of(bytes_of("initial RAM disk"));
  const auto state = boot_image(memory, bzimage_of(kPayload), "", &initrd);
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x218), 64 * kMiB - 4096);
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x21c), 16u);
  EXPECT_EQ(text_at(memory, 64 * kMiB - 4096, 16), "initial RAM disk");
}

TEST(BzImage, TheInitrdStaysBelowTheHighestAddressTheKernelTakes) {
  const GuestMemory memory = memory_of(64 * kMiB);
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint32_t>(image, 0x22c, 40 * kMiB - 1);
  const File initrd = file_of(ByteVector(4097, std::byte{7}));
  const auto state = boot_image(memory, image, "", &initrd);
  ASSERT_TRUE(state);
  EXPECT_EQ(value_at<std::uint32_t>(memory, state->rsi + 0x218), 40 * kMiB - 8192);
}

TEST(BzImage, AnInitrdThatWouldTouchTheKernelIsRefused) {
  const GuestMemory memory = memory_of(25 * kMiB);  // the kernel ends at 24 MiB
  const ByteVector image = bzimage_of(kPayload);
  const File fits = file_of(ByteVector(kMiB));
  EXPECT_TRUE(boot_image(memory, image, "", &fits));
  const File too_large = file_of(ByteVector(kMiB + 1));
  expect_refusal(boot_image(memory, image, "", &too_large), ErrorKind::kLimitExceeded, "initial RAM disk");
}

TEST(BzImage, AnEmptyInitrdIsRefused) {
  const File empty = file_of({});
  expect_refusal(boot_image(memory_of(64 * kMiB), bzimage_of(kPayload), "", &empty), ErrorKind::kUsage,
                 "empty");
}

TEST(BzImage, AKernelWithoutAPreferenceGoesToTheFirstAlignedAddressAboveOneMiB) {
  const GuestMemory memory = memory_of(64 * kMiB);
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint64_t>(image, 0x258, 0);
  auto state = boot_image(memory, image);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->rip, 2 * kMiB + 0x200);
  store_le<std::uint8_t>(image, 0x234, 0);  // not relocatable
  state = boot_image(memory, image);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->rip, kMiB + 0x200);
}

TEST(BzImage, EveryByteAfterTheSetupCodeIsLoaded) {
  const GuestMemory memory = memory_of(64 * kMiB);
  ByteVector image = bzimage_of(kPayload);
  const ByteVector tail = bytes_of("tail beyond the declared size");
  const std::uint64_t offset = image.size() - 1024;
  image.insert(image.end(), tail.begin(), tail.end());
  ASSERT_TRUE(boot_image(memory, image));
  EXPECT_EQ(text_at(memory, 16 * kMiB + offset, 11), "tail beyond");
}

TEST(BzImage, ZeroSetupSectorsMeanFour) {
  ByteVector image = bzimage_of(kPayload);
  const ByteVector three_sectors(3 * 512);
  image.insert(image.begin() + 1024, three_sectors.begin(), three_sectors.end());
  store_le<std::uint8_t>(image, 0x1f1, 0);
  const GuestMemory memory = memory_of(64 * kMiB);
  const auto state = boot_image(memory, image);
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(text_at(memory, state->rip, 11), "entry point");
}

TEST(BzImage, AFileCutShortAnywhereIsRefused) {
  const GuestMemory memory = memory_of(64 * kMiB);
  const ByteVector image = bzimage_of(kPayload);
  for (std::size_t size = 0; size < image.size(); ++size) {
    const auto state = boot_image(memory, ByteView(image).first(size));
    ASSERT_FALSE(state) << size;
    EXPECT_EQ(state.error().kind(), size < 0x206 ? ErrorKind::kUnsupported : ErrorKind::kTruncated) << size;
    EXPECT_EQ(state.error().file(), "image");
  }
}

TEST(BzImage, MoreSetupSectorsThanTheFileHasAreRefused) {
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint8_t>(image, 0x1f1, 255);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kTruncated, "by its own headers");
}

TEST(BzImage, AHeaderOfAnImpossibleLengthIsCorrupt) {
  for (const int jump : {0, 0x65, 0x8f, 0xff}) {
    ByteVector image = bzimage_of(kPayload);
    store_le<std::uint8_t>(image, 0x201, static_cast<std::uint8_t>(jump));
    expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kCorrupt, "setup header");
  }
}

TEST(BzImage, ALostBootSectorMarkIsCorrupt) {
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint16_t>(image, 0x1fe, 0);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kCorrupt, "55 AA");
}

TEST(BzImage, AnAlignmentThatIsNoPowerOfTwoIsCorrupt) {
  for (const std::uint32_t alignment : {0u, 3u}) {
    ByteVector image = bzimage_of(kPayload);
    store_le<std::uint32_t>(image, 0x230, alignment);
    expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kCorrupt, "power of two");
  }
}

TEST(BzImage, AKernelProperThatDoesNotReachItsEntryIsCorrupt) {
  expect_refusal(boot_image(memory_of(64 * kMiB), bzimage_of(std::string(0x200, 'a'))), ErrorKind::kCorrupt,
                 "entry");
}

TEST(BzImage, KernelsThatCannotStartInLongModeAreUnsupported) {
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint16_t>(image, 0x206, 0x020b);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kUnsupported, "2.11");
  image = bzimage_of(kPayload);
  store_le<std::uint16_t>(image, 0x236, 0xfffe);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kUnsupported, "64-bit entry");
  image = bzimage_of(kPayload);
  store_le<std::uint8_t>(image, 0x211, 0);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kUnsupported, "zImage");
}

TEST(BzImage, AKernelThatNeedsMoreMemoryThanTheGuestHasIsRefused) {
  ByteVector image = bzimage_of(kPayload);
  expect_refusal(boot_image(memory_of(24 * kMiB - 4096), image), ErrorKind::kLimitExceeded, "more memory");
  EXPECT_TRUE(boot_image(memory_of(24 * kMiB), image));
  store_le<std::uint32_t>(image, 0x260, 0xffffffff);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kLimitExceeded, "more memory");
  image = bzimage_of(kPayload);
  store_le<std::uint64_t>(image, 0x258, ~std::uint64_t{0});
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kLimitExceeded, "more memory");
  store_le<std::uint64_t>(image, 0x258, 0xfee00000);
  expect_refusal(boot_image(memory_of(64 * kMiB), image), ErrorKind::kLimitExceeded, "more memory");
}

TEST(BzImage, TheCommandLineIsHeldToWhatTheKernelTakes) {
  const GuestMemory memory = memory_of(64 * kMiB);
  EXPECT_TRUE(boot_image(memory, bzimage_of(kPayload), std::string(2047, 'x')));
  expect_refusal(boot_image(memory, bzimage_of(kPayload), std::string(2048, 'x')), ErrorKind::kUsage,
                 "at most 2047");
}

TEST(BzImage, AKernelThatClaimsToTakeAnyCommandLineIsNotBelieved) {
  const GuestMemory memory = memory_of(64 * kMiB);
  ByteVector image = bzimage_of(kPayload);
  store_le<std::uint32_t>(image, 0x238, 0xffffffff);
  EXPECT_TRUE(boot_image(memory, image, std::string(65535, 'x')));
  expect_refusal(boot_image(memory, image, std::string(65536, 'x')), ErrorKind::kUsage, "at most 65535");
}

TEST(BzImage, AZeroByteInTheCommandLineIsRefused) {
  expect_refusal(boot_image(memory_of(64 * kMiB), bzimage_of(kPayload), std::string_view("a\0b", 3)),
                 ErrorKind::kUsage, "zero byte");
}

TEST(BzImage, AMemoryMapWithMoreRangesThanTheE820TableHoldsIsRefused) {
  const auto scattered = [](std::uint32_t extra) {
    MemoryMap map;
    map.segments.push_back({0, "low", SegmentKind::kSystemMemory, 32 * kMiB});
    map.mappings.push_back({0, 0, Gpa(0), 32 * kMiB, false});
    for (std::uint32_t i = 1; i <= extra; ++i) {
      map.segments.push_back({i, "s" + std::to_string(i), SegmentKind::kSystemMemory, 4096});
      map.mappings.push_back({i, 0, Gpa(GuestMemory::kHighMemoryBase + i * 8192ull), 4096, false});
    }
    return GuestMemory::allocate(map);
  };
  const auto most = scattered(128 - 4);
  ASSERT_TRUE(most);
  const auto state = boot_image(*most, bzimage_of(kPayload));
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(value_at<std::uint8_t>(*most, state->rsi + 0x1e8), 128);
  const auto too_many = scattered(128 - 3);
  ASSERT_TRUE(too_many);
  expect_refusal(boot_image(*too_many, bzimage_of(kPayload)), ErrorKind::kLimitExceeded, "129 ranges");
}

TEST(BzImage, DeviceMemoryAndReadOnlyMappingsAreNotToldAsRam) {
  MemoryMap map;
  map.segments = {{0, "ram", SegmentKind::kSystemMemory, 32 * kMiB},
                  {1, "framebuffer", SegmentKind::kDeviceMemory, kMiB},
                  {2, "shadow", SegmentKind::kSystemMemory, 4096}};
  map.mappings = {{0, 0, Gpa(0), 32 * kMiB, false},
                  {1, 0, Gpa(0xc0000000), kMiB, false},
                  {2, 0, Gpa(0xd0000000), 4096, true}};
  const auto ranges = boot::memory_ranges(map);
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 4u);
  EXPECT_EQ((*ranges)[2].start, Gpa(kMiB));
  EXPECT_EQ((*ranges)[3].type, boot::MemoryType::kReserved);
}

TEST(BzImage, RandomDamageToTheHeaderNeverDoesMoreThanRefuse) {
  const GuestMemory memory = memory_of(32 * kMiB);
  const ByteVector good = bzimage_of(kPayload);
  std::uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    ByteVector image = good;
    for (int i = 0; i < 4; ++i)
      image[0x1f1 + (next() >> 8) % 0x9f] = std::byte(static_cast<std::uint8_t>(next() >> 16));
    const auto state = boot_image(memory, image);
    if (!state) {
      ++refused;
    } else {
      EXPECT_LT(state->rip, 32 * kMiB);
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(Kernel, AFileThatIsNoKernelIsUnsupportedAndNamed) {
  const auto state = boot_image(memory_of(64 * kMiB), bytes_of("#!/bin/sh\n"));
  expect_refusal(state, ErrorKind::kUnsupported, "neither");
  EXPECT_EQ(state.error().file(), "image");
}

TEST(Kernel, GuestMemoryBelowOneMiBIsTooSmall) {
  MemoryMap map;
  map.segments = {{0, "high", SegmentKind::kSystemMemory, 64 * kMiB}};
  map.mappings = {{0, 0, Gpa(GuestMemory::kHighMemoryBase), 64 * kMiB, false}};
  const auto memory = GuestMemory::allocate(map);
  ASSERT_TRUE(memory);
  expect_refusal(boot_image(*memory, bzimage_of(kPayload)), ErrorKind::kLimitExceeded, "ends at 0x0");
}

}  // namespace
}  // namespace vmsnap::vmm
