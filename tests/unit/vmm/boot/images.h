// SPDX-License-Identifier: BSD-2-Clause
// Kernels made in memory, and the memory to load them into.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "boot/kernel.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// A file without a name on any disk.
inline File file_of(ByteView bytes) {
  UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  EXPECT_TRUE(fd);
  File file = File::adopt(std::move(fd), "image");
  EXPECT_TRUE(file.write_at(0, bytes));
  return file;
}

inline GuestMemory memory_of(std::uint64_t size) {
  auto memory = GuestMemory::allocate(GuestMemory::layout(size));
  EXPECT_TRUE(memory);
  return std::move(*memory);
}

/// `size` bytes of guest memory at `address`, which must be RAM.
inline ByteView bytes_at(const GuestMemory& memory, std::uint64_t address, std::uint64_t size) {
  const auto bytes = memory.find(Gpa(address), size);
  EXPECT_TRUE(bytes);
  return bytes ? ByteView(*bytes) : ByteView();
}

template <std::unsigned_integral T>
T value_at(const GuestMemory& memory, std::uint64_t address) {
  return load_le<T>(bytes_at(memory, address, sizeof(T)), 0);
}

inline std::string text_at(const GuestMemory& memory, std::uint64_t address, std::size_t size) {
  const ByteView bytes = bytes_at(memory, address, size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline ByteVector bytes_of(std::string_view text) {
  const ByteView view = as_byte_view(text);
  return {view.begin(), view.end()};
}

/// A bzImage with a boot sector, one setup sector and `payload`; protocol 2.15.
inline ByteVector bzimage_of(std::string_view payload) {
  ByteVector image(1024);
  const std::size_t padded = (payload.size() + 15) / 16 * 16;
  store_le<std::uint8_t>(image, 0x1f1, 1);
  store_le<std::uint32_t>(image, 0x1f4, static_cast<std::uint32_t>(padded / 16));
  store_le<std::uint16_t>(image, 0x1fe, 0xaa55);
  store_le<std::uint16_t>(image, 0x200, 0x6aeb);
  store_le<std::uint32_t>(image, 0x202, 0x53726448);
  store_le<std::uint16_t>(image, 0x206, 0x020f);
  store_le<std::uint8_t>(image, 0x211, 1);
  store_le<std::uint32_t>(image, 0x22c, 0x7fffffff);
  store_le<std::uint32_t>(image, 0x230, 0x200000);
  store_le<std::uint8_t>(image, 0x234, 1);
  store_le<std::uint16_t>(image, 0x236, 1);
  store_le<std::uint32_t>(image, 0x238, 2047);
  store_le<std::uint64_t>(image, 0x250, 0x1122334455667788);  // not a promise of the file to be believed
  store_le<std::uint64_t>(image, 0x258, 16 * kMiB);
  store_le<std::uint32_t>(image, 0x260, 8 * kMiB);
  const ByteVector text = bytes_of(payload);
  image.insert(image.end(), text.begin(), text.end());
  image.resize(1024 + padded);
  return image;
}

struct ElfPart {
  std::uint32_t type = 1;
  std::uint64_t address = 0;
  ByteVector bytes;
  std::uint64_t memory_size = 0;
  std::uint64_t alignment = 4096;
};

/// A note as in the System V ABI, with 4-byte alignment.
inline ByteVector note_of(std::string_view name, std::uint32_t type, ByteView value) {
  ByteVector note(12);
  store_le<std::uint32_t>(note, 0, static_cast<std::uint32_t>(name.size() + 1));
  store_le<std::uint32_t>(note, 4, static_cast<std::uint32_t>(value.size()));
  store_le<std::uint32_t>(note, 8, type);
  const ByteVector text = bytes_of(name);
  note.insert(note.end(), text.begin(), text.end());
  note.resize((note.size() + 1 + 3) / 4 * 4);
  note.insert(note.end(), value.begin(), value.end());
  note.resize((note.size() + 3) / 4 * 4);
  return note;
}

inline ByteVector entry_note(std::uint32_t entry) {
  ByteVector value(4);
  store_le<std::uint32_t>(value, 0, entry);
  return note_of("Xen", 18, value);
}

/// A 64-bit ELF executable for x86-64 whose parts follow its headers.
inline ByteVector elf64_of(const std::vector<ElfPart>& parts) {
  ByteVector image(64 + 56 * parts.size());
  store_le<std::uint32_t>(image, 0, 0x464c457f);
  store_le<std::uint8_t>(image, 4, 2);
  store_le<std::uint8_t>(image, 5, 1);
  store_le<std::uint16_t>(image, 16, 2);
  store_le<std::uint16_t>(image, 18, 62);
  store_le<std::uint64_t>(image, 32, 64);
  store_le<std::uint16_t>(image, 54, 56);
  store_le<std::uint16_t>(image, 56, static_cast<std::uint16_t>(parts.size()));
  std::size_t header = 64;
  for (const ElfPart& part : parts) {
    store_le<std::uint32_t>(image, header, part.type);
    store_le<std::uint64_t>(image, header + 8, image.size());
    store_le<std::uint64_t>(image, header + 24, part.address);
    store_le<std::uint64_t>(image, header + 32, part.bytes.size());
    store_le<std::uint64_t>(image, header + 40, part.memory_size);
    store_le<std::uint64_t>(image, header + 48, part.alignment);
    image.insert(image.end(), part.bytes.begin(), part.bytes.end());
    header += 56;
  }
  return image;
}

/// The same for 32 bits and the 80386.
inline ByteVector elf32_of(const std::vector<ElfPart>& parts) {
  ByteVector image(52 + 32 * parts.size());
  store_le<std::uint32_t>(image, 0, 0x464c457f);
  store_le<std::uint8_t>(image, 4, 1);
  store_le<std::uint8_t>(image, 5, 1);
  store_le<std::uint16_t>(image, 16, 2);
  store_le<std::uint16_t>(image, 18, 3);
  store_le<std::uint32_t>(image, 28, 52);
  store_le<std::uint16_t>(image, 42, 32);
  store_le<std::uint16_t>(image, 44, static_cast<std::uint16_t>(parts.size()));
  std::size_t header = 52;
  for (const ElfPart& part : parts) {
    store_le<std::uint32_t>(image, header, part.type);
    store_le<std::uint32_t>(image, header + 4, static_cast<std::uint32_t>(image.size()));
    store_le<std::uint32_t>(image, header + 12, static_cast<std::uint32_t>(part.address));
    store_le<std::uint32_t>(image, header + 16, static_cast<std::uint32_t>(part.bytes.size()));
    store_le<std::uint32_t>(image, header + 20, static_cast<std::uint32_t>(part.memory_size));
    store_le<std::uint32_t>(image, header + 28, static_cast<std::uint32_t>(part.alignment));
    image.insert(image.end(), part.bytes.begin(), part.bytes.end());
    header += 32;
  }
  return image;
}

/// Every refusal has a kind, the file's name and a sentence that is one line.
inline void expect_refusal(const Result<BootState>& result, ErrorKind kind, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), kind) << result.error().to_string();
  EXPECT_NE(result.error().message().find(part), std::string::npos) << result.error().to_string();
  EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
}

}  // namespace vmsnap::vmm
