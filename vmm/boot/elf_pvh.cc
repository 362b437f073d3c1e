// SPDX-License-Identifier: BSD-2-Clause
#include "boot/elf_pvh.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/checked.h"
#include "boot/boot_memory.h"

namespace vmsnap::vmm::boot {
namespace {

constexpr std::uint32_t kElfMagic = 0x464c457f;  // 7F "ELF"
constexpr std::size_t kIdentSize = 16;
constexpr std::uint8_t kClass32 = 1;
constexpr std::uint8_t kClass64 = 2;
constexpr std::uint8_t kLittleEndian = 1;
constexpr std::uint16_t kTypeExecutable = 2;
constexpr std::uint16_t kTypeDynamic = 3;
constexpr std::uint16_t kMachine386 = 3;
constexpr std::uint16_t kMachineX86_64 = 62;
constexpr std::uint32_t kSegmentLoad = 1;
constexpr std::uint32_t kSegmentNote = 4;

constexpr std::size_t kMaxProgramHeaders = 64;
constexpr std::uint64_t kMaxNotes = std::uint64_t{64} * 1024;

constexpr std::uint32_t kNotePhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

constexpr std::uint32_t kStartInfoMagic = 0x336ec578;
constexpr std::size_t kStartInfoSize = 56;
constexpr std::size_t kModuleEntrySize = 32;
constexpr std::size_t kMemoryMapEntrySize = 24;
// Linux takes 2047 bytes; the protocol itself has no limit.
constexpr std::uint64_t kPvhCommandLineLimit = kCommandLineLimit - 1;

// Offsets of the fields that the loader reads, for both classes.
struct ElfLayout {
  std::size_t header_size;
  std::size_t program_offset;  // e_phoff
  std::size_t program_entry;   // e_phentsize
  std::size_t program_count;   // e_phnum
  std::size_t entry_size;
  std::size_t p_offset;
  std::size_t p_paddr;
  std::size_t p_filesz;
  std::size_t p_memsz;
  std::size_t p_align;
  bool wide;
};
constexpr ElfLayout kLayout32 = {52, 28, 42, 44, 32, 4, 12, 16, 20, 28, false};
constexpr ElfLayout kLayout64 = {64, 32, 54, 56, 56, 8, 24, 32, 40, 48, true};

std::uint64_t load_word(ByteView bytes, std::size_t offset, bool wide) {
  return wide ? load_le<std::uint64_t>(bytes, offset) : load_le<std::uint32_t>(bytes, offset);
}

Error corrupt(std::uint64_t offset, std::string message) {
  return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(offset);
}

// A range that the headers name must lie in the file.
Result<void> check_range(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size,
                         std::uint64_t where, std::string_view what) {
  const auto end = checked_add(offset, size);
  if (!end) return corrupt(where, fmt::format("{} of the kernel wraps around; get a fresh copy of it", what));
  if (*end <= file_size) return {};
  return Error(ErrorKind::kTruncated,
               fmt::format("{} of the kernel ends at {} but the file has {} bytes; get a fresh copy of it",
                           what, *end, file_size))
      .at_offset(where);
}

Result<const ElfLayout*> read_identity(ByteView header) {
  if (header.size() < kIdentSize || !is_elf(header)) {
    return Error(ErrorKind::kUnsupported, "this is not an ELF file; name a kernel").at_offset(0);
  }
  const auto file_class = load_le<std::uint8_t>(header, 4);
  if ((file_class != kClass32 && file_class != kClass64) ||
      load_le<std::uint8_t>(header, 5) != kLittleEndian) {
    return Error(ErrorKind::kUnsupported, "this ELF file is not one for x86; use a kernel built for x86-64")
        .at_offset(4);
  }
  const ElfLayout& layout = file_class == kClass64 ? kLayout64 : kLayout32;
  if (header.size() < layout.header_size) {
    return Error(ErrorKind::kTruncated, "the kernel ends within its ELF header; get a fresh copy of it")
        .at_offset(header.size());
  }
  const auto machine = load_le<std::uint16_t>(header, 18);
  if (machine != kMachine386 && machine != kMachineX86_64) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("this ELF file is for machine {}, not for x86; use a kernel built for x86-64",
                             machine))
        .at_offset(18);
  }
  const auto type = load_le<std::uint16_t>(header, 16);
  if (type != kTypeExecutable && type != kTypeDynamic) {
    return Error(
               ErrorKind::kUnsupported,
               fmt::format(
                   "this ELF file has type {} and is not an executable; use a linked kernel (vmlinux)", type))
        .at_offset(16);
  }
  return &layout;
}

// Looks for the entry point in the notes of one PT_NOTE segment that was read to `notes`.
std::optional<std::uint64_t> find_entry_note(ByteView notes, std::uint64_t alignment) {
  constexpr std::size_t kNoteHeader = 12;
  std::uint64_t at = 0;
  while (notes.size() - at >= kNoteHeader) {
    const std::uint64_t name_size = load_le<std::uint32_t>(notes, at);
    const std::uint64_t value_size = load_le<std::uint32_t>(notes, at + 4);
    const auto type = load_le<std::uint32_t>(notes, at + 8);
    // 32-bit sizes in 64-bit sums: nothing here can wrap.
    const std::uint64_t name = at + kNoteHeader;
    const std::uint64_t value = align_up(name + name_size, alignment);
    if (value > notes.size() || value_size > notes.size() - value) return std::nullopt;
    const bool is_xen = name_size == 4 && std::memcmp(notes.subspan(name, 4).data(), "Xen", 4) == 0;
    if (is_xen && type == kNotePhys32Entry) {
      if (value_size == 4) return load_le<std::uint32_t>(notes, value);
      if (value_size == 8) return load_le<std::uint64_t>(notes, value);
    }
    at = align_up(value + value_size, alignment);
    if (at > notes.size()) return std::nullopt;
  }
  return std::nullopt;
}

ByteVector build_start_info(bool has_module, std::size_t ranges) {
  ByteVector info(kStartInfoSize);
  store_le<std::uint32_t>(info, 0, kStartInfoMagic);
  store_le<std::uint32_t>(info, 4, 1);  // version
  store_le<std::uint32_t>(info, 12, has_module ? 1 : 0);
  store_le<std::uint64_t>(info, 16, has_module ? kPvhModuleList.value() : 0);
  store_le<std::uint64_t>(info, 24, kCommandLine.value());
  store_le<std::uint64_t>(info, 32, platform::kAcpiTablesBase.value());
  store_le<std::uint64_t>(info, 40, kPvhMemoryMap.value());
  store_le<std::uint32_t>(info, 48, static_cast<std::uint32_t>(ranges));
  return info;
}

ByteVector build_memory_map(const std::vector<MemoryRange>& ranges) {
  static_assert(kPvhMemoryMap.value() + kMaxMemoryRanges * kMemoryMapEntrySize <= kZeroPage.value());
  ByteVector table(ranges.size() * kMemoryMapEntrySize);
  std::size_t at = 0;
  for (const MemoryRange& range : ranges) {
    store_le<std::uint64_t>(table, at, range.start.value());
    store_le<std::uint64_t>(table, at + 8, range.size);
    store_le<std::uint32_t>(table, at + 16, static_cast<std::uint32_t>(range.type));
    at += kMemoryMapEntrySize;
  }
  return table;
}

// The state that PVH demands: flat 32-bit segments, paging off.
Result<BootState> protected_mode_state(const GuestMemory& memory, std::uint32_t entry) {
  BootState state;
  state.mode = BootMode::kProtected32;
  state.rip = entry;
  state.rsp = kStackTop.value();
  state.rbx = kPvhStartInfo.value();
  state.cr0 = 0x11;  // ET, PE
  VMSNAP_RETURN_IF_ERROR(put_flat_segments(memory, state));
  return state;
}

Result<ElfKernel> parse(const File& file) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file.size());
  std::array<std::byte, kLayout64.header_size> buffer{};
  const MutableByteView head =
      MutableByteView(buffer).first(std::min<std::uint64_t>(file_size, buffer.size()));
  VMSNAP_RETURN_IF_ERROR(file.read_at(0, head));
  VMSNAP_ASSIGN_OR_RETURN(const ElfLayout* layout, read_identity(head));

  const std::uint64_t table_offset = load_word(head, layout->program_offset, layout->wide);
  const std::size_t count = load_le<std::uint16_t>(head, layout->program_count);
  const auto entry_size = load_le<std::uint16_t>(head, layout->program_entry);
  if (count > kMaxProgramHeaders) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the kernel has {} program headers but {} is the most that is "
                             "read; this is hardly a kernel",
                             count, kMaxProgramHeaders))
        .at_offset(layout->program_count);
  }
  if (entry_size != layout->entry_size) {
    return corrupt(layout->program_entry,
                   fmt::format("the program headers of the kernel have {} bytes instead of {}; "
                               "get a fresh copy of it",
                               entry_size, layout->entry_size));
  }
  ByteVector table(count * entry_size);
  VMSNAP_RETURN_IF_ERROR(check_range(table_offset, table.size(), file_size, layout->program_offset,
                                     "the table of program headers"));
  VMSNAP_RETURN_IF_ERROR(file.read_at(table_offset, table));

  ElfKernel kernel;
  std::optional<std::uint64_t> entry;
  for (std::size_t i = 0; i < count; ++i) {
    const ByteView header = ByteView(table).subspan(i * entry_size, entry_size);
    const std::uint64_t where = table_offset + i * entry_size;
    const auto type = load_le<std::uint32_t>(header, 0);
    if (type != kSegmentLoad && type != kSegmentNote) continue;
    const ElfSegment segment = {
        load_word(header, layout->p_offset, layout->wide), load_word(header, layout->p_filesz, layout->wide),
        load_word(header, layout->p_paddr, layout->wide), load_word(header, layout->p_memsz, layout->wide)};
    VMSNAP_RETURN_IF_ERROR(
        check_range(segment.file_offset, segment.file_size, file_size, where, "a segment"));
    if (type == kSegmentNote) {
      if (segment.file_size > kMaxNotes) {
        return Error(ErrorKind::kLimitExceeded,
                     fmt::format("the notes of the kernel have {} bytes but {} is the most "
                                 "that is read; this is hardly a kernel",
                                 segment.file_size, kMaxNotes))
            .at_offset(where);
      }
      ByteVector notes(segment.file_size);
      VMSNAP_RETURN_IF_ERROR(file.read_at(segment.file_offset, notes));
      const std::uint64_t alignment = load_word(header, layout->p_align, layout->wide) == 8 ? 8 : 4;
      if (!entry) entry = find_entry_note(notes, alignment);
      continue;
    }
    if (segment.memory_size == 0) continue;
    const auto end = checked_add(segment.address, segment.memory_size);
    if (!end || segment.file_size > segment.memory_size) {
      return corrupt(
          where,
          "a segment of the kernel is larger in the file than in memory or wraps around; get a fresh "
          "copy of it");
    }
    if (segment.address < platform::kHighRamStart.value()) {
      return Error(ErrorKind::kUnsupported, fmt::format("a segment of the kernel wants to be at {:#x}, but "
                                                        "kernels are loaded at 1 MiB or above; "
                                                        "use another kernel",
                                                        segment.address))
          .at_offset(where);
    }
    kernel.segments.push_back(segment);
    kernel.end = std::max(kernel.end, *end);
  }
  if (!entry) {
    return Error(
        ErrorKind::kUnsupported,
        "the ELF file has no PVH entry point (note Xen 18); use a bzImage or a kernel built with CONFIG_PVH");
  }
  const bool inside =
      std::any_of(kernel.segments.begin(), kernel.segments.end(), [&](const ElfSegment& segment) {
        return *entry >= segment.address && *entry - segment.address < segment.file_size;
      });
  if (!inside || !checked_cast<std::uint32_t>(*entry)) {
    return corrupt(
        0,
        fmt::format("the kernel's PVH entry point {:#x} is in none of its segments; get a fresh copy of it",
                    *entry));
  }
  kernel.entry = static_cast<std::uint32_t>(*entry);
  return kernel;
}

}  // namespace

bool is_elf(ByteView head) {
  return head.size() >= 4 && load_le<std::uint32_t>(head, 0) == kElfMagic;
}

Result<ElfKernel> parse_elf_kernel(const File& file) {
  auto kernel = parse(file);
  if (!kernel) return std::move(kernel).error().in_file(file.name());
  return kernel;
}

Result<BootState> load_elf_kernel(const GuestMemory& memory, const File& kernel, const File* initrd,
                                  std::string_view command_line) {
  VMSNAP_ASSIGN_OR_RETURN(const ElfKernel elf, parse_elf_kernel(kernel));
  const std::uint64_t ram_end = low_ram_end(memory.map());
  if (elf.end > ram_end) {
    return Error(
               ErrorKind::kLimitExceeded,
               fmt::format(
                   "the kernel needs memory up to {:#x} but the guest's memory ends at {:#x}; give the guest "
                   "more memory",
                   elf.end, ram_end))
        .in_file(kernel.name());
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<MemoryRange> ranges, memory_ranges(memory.map()));
  VMSNAP_RETURN_IF_ERROR(put_command_line(memory, command_line, kPvhCommandLineLimit));
  for (const ElfSegment& segment : elf.segments) {
    VMSNAP_RETURN_IF_ERROR(
        load(memory, kernel, segment.file_offset, segment.file_size, Gpa(segment.address)));
    const auto rest =
        memory.find(Gpa(segment.address + segment.file_size), segment.memory_size - segment.file_size);
    if (rest) std::fill(rest->begin(), rest->end(), std::byte{0});
  }
  if (initrd != nullptr) {
    VMSNAP_ASSIGN_OR_RETURN(const Initrd placed, put_initrd(memory, *initrd, elf.end, ram_end));
    ByteVector module(kModuleEntrySize);
    store_le<std::uint64_t>(module, 0, placed.address.value());
    store_le<std::uint64_t>(module, 8, placed.size);
    VMSNAP_RETURN_IF_ERROR(put(memory, kPvhModuleList, module, "the PVH module list"));
  }
  VMSNAP_RETURN_IF_ERROR(put(memory, kPvhMemoryMap, build_memory_map(ranges), "the PVH memory map"));
  VMSNAP_RETURN_IF_ERROR(
      put(memory, kPvhStartInfo, build_start_info(initrd != nullptr, ranges.size()), "the PVH start info"));
  return protected_mode_state(memory, elf.entry);
}

}  // namespace vmsnap::vmm::boot
