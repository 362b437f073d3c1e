// SPDX-License-Identifier: BSD-2-Clause
#include "boot/elf_pvh.h"

#include <gtest/gtest.h>

#include "boot/platform.h"
#include "images.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kLoad = 2 * kMiB;
constexpr std::uint32_t kEntry = static_cast<std::uint32_t>(kLoad) + 16;

std::vector<ElfPart> parts() {
  return {{1, kLoad, bytes_of("0123456789abcdefentry point"), 8192}, {4, 0, entry_note(kEntry), 0, 4}};
}

Result<BootState> boot_image(const GuestMemory& memory, ByteView image, std::string_view command_line = "",
                             const File* initrd = nullptr) {
  return load_kernel(memory, file_of(image), initrd, command_line);
}

TEST(ElfPvh, StartsInProtectedModeAtTheEntryTheNoteNames) {
  for (const ByteVector& image : {elf64_of(parts()), elf32_of(parts())}) {
    const GuestMemory memory = memory_of(16 * kMiB);
    const auto state = boot_image(memory, image);
    ASSERT_TRUE(state) << state.error().to_string();
    EXPECT_EQ(state->mode, BootMode::kProtected32);
    EXPECT_EQ(state->rip, kEntry);
    EXPECT_EQ(text_at(memory, state->rip, 11), "entry point");
    EXPECT_EQ(state->cr0, 0x11u);
    EXPECT_EQ(state->cr4, 0u);
    EXPECT_EQ(state->efer, 0u);
    EXPECT_TRUE(state->code.default_32bit);
    EXPECT_FALSE(state->code.is_64bit);
    EXPECT_EQ(state->code.limit, 0xffffffffu);
    EXPECT_EQ(state->task.type, 0xb);
  }
}

TEST(ElfPvh, TheStartInfoLeadsToCommandLineMemoryMapAndTables) {
  const GuestMemory memory = memory_of(16 * kMiB);
  const auto state = boot_image(memory, elf64_of(parts()), "boot_verbose");
  ASSERT_TRUE(state);
  const std::uint64_t info = state->rbx;
  EXPECT_EQ(value_at<std::uint32_t>(memory, info), 0x336ec578u);
  EXPECT_EQ(value_at<std::uint32_t>(memory, info + 4), 1u);
  EXPECT_EQ(value_at<std::uint32_t>(memory, info + 12), 0u);
  EXPECT_EQ(text_at(memory, value_at<std::uint64_t>(memory, info + 24), 13),
            std::string("boot_verbose\0", 13));
  EXPECT_EQ(value_at<std::uint64_t>(memory, info + 32), platform::kAcpiTablesBase.value());
  ASSERT_EQ(value_at<std::uint32_t>(memory, info + 48), 4u);
  const auto map = value_at<std::uint64_t>(memory, info + 40);
  EXPECT_EQ(value_at<std::uint64_t>(memory, map + 2 * 24), kMiB);
  EXPECT_EQ(value_at<std::uint64_t>(memory, map + 2 * 24 + 8), 15 * kMiB);
  EXPECT_EQ(value_at<std::uint32_t>(memory, map + 2 * 24 + 16), 1u);
  EXPECT_EQ(value_at<std::uint32_t>(memory, map + 1 * 24 + 16), 2u);
}

TEST(ElfPvh, TheInitrdIsTheFirstModule) {
  const GuestMemory memory = memory_of(16 * kMiB);
  const File initrd = file_of(bytes_of("module"));
  const auto state = boot_image(memory, elf64_of(parts()), "", &initrd);
  ASSERT_TRUE(state);
  ASSERT_EQ(value_at<std::uint32_t>(memory, state->rbx + 12), 1u);
  const auto modules = value_at<std::uint64_t>(memory, state->rbx + 16);
  EXPECT_EQ(value_at<std::uint64_t>(memory, modules + 8), 6u);
  EXPECT_EQ(text_at(memory, value_at<std::uint64_t>(memory, modules), 6), "module");
}

TEST(ElfPvh, MemoryBeyondTheFilePartOfASegmentIsCleared) {
  const GuestMemory memory = memory_of(16 * kMiB);
  ASSERT_TRUE(memory.write(Gpa(kLoad + 4096), as_byte_view("left by an earlier run")));
  ASSERT_TRUE(boot_image(memory, elf64_of(parts())));
  EXPECT_TRUE(is_all_zero(bytes_at(memory, kLoad + 27, 8192 - 27)));
}

TEST(ElfPvh, TheEntryNoteIsFoundAmongOthersAndMayHaveEightBytes) {
  ByteVector notes = note_of("GNU", 18, bytes_of("not this one"));
  const ByteVector other = note_of("Xen", 6, bytes_of("linux"));
  ByteVector value(8);
  store_le<std::uint64_t>(value, 0, kEntry);
  const ByteVector entry = note_of("Xen", 18, value);
  notes.insert(notes.end(), other.begin(), other.end());
  notes.insert(notes.end(), entry.begin(), entry.end());
  auto image_parts = parts();
  image_parts[1].bytes = notes;
  const auto state = boot_image(memory_of(16 * kMiB), elf64_of(image_parts));
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->rip, kEntry);
}

TEST(ElfPvh, AnImageWithoutTheNoteIsUnsupported) {
  auto image_parts = parts();
  image_parts.pop_back();
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kUnsupported,
                 "no PVH entry");
}

TEST(ElfPvh, NotesWhoseSizesReachBeyondThemAreNotFollowed) {
  for (const std::size_t field : {0u, 4u}) {
    for (const std::uint32_t size : {0x7fffffffu, 0xffffffffu, 0xfffffff0u, 100u}) {
      auto image_parts = parts();
      store_le<std::uint32_t>(image_parts[1].bytes, field, size);
      expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kUnsupported,
                     "no PVH entry");
    }
  }
}

TEST(ElfPvh, AnEntryOutsideEverySegmentIsCorrupt) {
  for (const std::uint64_t entry : {std::uint64_t{0}, kLoad - 1, kLoad + 27, std::uint64_t{0xffffffff}}) {
    auto image_parts = parts();
    image_parts[1].bytes = entry_note(static_cast<std::uint32_t>(entry));
    expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kCorrupt,
                   "none of its segments");
  }
}

TEST(ElfPvh, AFileCutShortAnywhereIsRefused) {
  const GuestMemory memory = memory_of(16 * kMiB);
  for (const ByteVector& image : {elf64_of(parts()), elf32_of(parts())}) {
    for (std::size_t size = 0; size < image.size(); ++size) {
      const auto state = boot_image(memory, ByteView(image).first(size));
      ASSERT_FALSE(state) << size;
      const bool recognisable = size >= 16;
      EXPECT_EQ(state.error().kind(), recognisable ? ErrorKind::kTruncated : ErrorKind::kUnsupported) << size;
      EXPECT_EQ(state.error().file(), "image");
    }
  }
}

TEST(ElfPvh, SegmentsThatWrapOrShrinkAreCorrupt) {
  auto image_parts = parts();
  image_parts[0].memory_size = ~std::uint64_t{0};
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kCorrupt, "wraps");
  image_parts[0].memory_size = 4;
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kCorrupt,
                 "larger in the file");
  ByteVector image = elf64_of(parts());
  store_le<std::uint64_t>(image, 64 + 8, ~std::uint64_t{0});  // p_offset
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kCorrupt, "wraps");
  image = elf64_of(parts());
  store_le<std::uint64_t>(image, 32, ~std::uint64_t{0});  // e_phoff
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kCorrupt, "wraps");
}

TEST(ElfPvh, ASegmentBelowOneMiBIsUnsupportedBecauseTheLoaderLivesThere) {
  auto image_parts = parts();
  image_parts[0].address = 0x7000;
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kUnsupported, "1 MiB");
}

TEST(ElfPvh, AKernelThatDoesNotFitTheGuestIsRefused) {
  auto image_parts = parts();
  image_parts[0].memory_size = 14 * kMiB;
  EXPECT_TRUE(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)));
  image_parts[0].memory_size = 14 * kMiB + 1;
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kLimitExceeded,
                 "more memory");
}

TEST(ElfPvh, HeadersThatWouldCostTooMuchAreRefused) {
  ByteVector image = elf64_of(parts());
  store_le<std::uint16_t>(image, 56, 0xffff);
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kLimitExceeded, "65535 program headers");
  auto image_parts = parts();
  image_parts[1].bytes.resize(65 * 1024);
  expect_refusal(boot_image(memory_of(16 * kMiB), elf64_of(image_parts)), ErrorKind::kLimitExceeded, "notes");
  image = elf64_of(parts());
  store_le<std::uint16_t>(image, 54, 1);
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kCorrupt, "instead of 56");
}

TEST(ElfPvh, OtherMachinesAndKindsOfFilesAreUnsupported) {
  ByteVector image = elf64_of(parts());
  store_le<std::uint16_t>(image, 18, 183);
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kUnsupported, "machine 183");
  image = elf64_of(parts());
  store_le<std::uint16_t>(image, 16, 1);
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kUnsupported, "not an executable");
  image = elf64_of(parts());
  store_le<std::uint8_t>(image, 5, 2);
  expect_refusal(boot_image(memory_of(16 * kMiB), image), ErrorKind::kUnsupported, "not one for x86");
}

TEST(ElfPvh, RandomDamageToTheHeadersNeverDoesMoreThanRefuse) {
  const GuestMemory memory = memory_of(16 * kMiB);
  const ByteVector good = elf64_of(parts());
  std::uint32_t random = 99;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    ByteVector image = good;
    for (int i = 0; i < 3; ++i)
      image[4 + (next() >> 8) % (image.size() - 4)] = std::byte(static_cast<std::uint8_t>(next() >> 16));
    if (!boot_image(memory, image)) ++refused;
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace vmsnap::vmm
