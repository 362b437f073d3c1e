// SPDX-License-Identifier: BSD-2-Clause
#include "boot/bzimage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "boot/boot_memory.h"

namespace vmsnap::vmm::boot {
namespace {

// Offsets of the setup header; the same in the file and in the zero page.
constexpr std::size_t kSetupSects = 0x1f1;
constexpr std::size_t kSysSize = 0x1f4;
constexpr std::size_t kBootFlag = 0x1fe;
constexpr std::size_t kJumpOffset = 0x201;
constexpr std::size_t kMagic = 0x202;
constexpr std::size_t kVersion = 0x206;
constexpr std::size_t kTypeOfLoader = 0x210;
constexpr std::size_t kLoadFlags = 0x211;
constexpr std::size_t kRamdiskImage = 0x218;
constexpr std::size_t kRamdiskSize = 0x21c;
constexpr std::size_t kCmdLinePtr = 0x228;
constexpr std::size_t kInitrdAddrMax = 0x22c;
constexpr std::size_t kKernelAlignment = 0x230;
constexpr std::size_t kRelocatable = 0x234;
constexpr std::size_t kXLoadFlags = 0x236;
constexpr std::size_t kCmdlineSize = 0x238;
constexpr std::size_t kSetupData = 0x250;
constexpr std::size_t kPrefAddress = 0x258;
constexpr std::size_t kInitSize = 0x260;
constexpr std::size_t kShortestEnd = 0x268;  // of a header of protocol 2.12
constexpr std::size_t kLongestEnd = 0x290;   // the zero page has other fields from here

// Fields of the zero page alone.
constexpr std::size_t kAcpiRsdpAddr = 0x070;
constexpr std::size_t kE820Entries = 0x1e8;
constexpr std::size_t kE820Table = 0x2d0;
constexpr std::size_t kE820EntrySize = 20;
constexpr std::size_t kZeroPageSize = 4096;

constexpr std::uint16_t kBootFlagValue = 0xaa55;
constexpr std::uint32_t kMagicValue = 0x53726448;  // "HdrS"
constexpr std::uint16_t kFirstVersionWithXLoadFlags = 0x020c;
constexpr std::uint8_t kLoadedHigh = 1;
constexpr std::uint16_t kXlfKernel64 = 1;
constexpr std::uint8_t kLoaderUnregistered = 0xff;
constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kEntry64 = 0x200;

Error corrupt(std::size_t offset, std::string message) {
  return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(offset);
}

// Where the kernel is loaded: where it wants to be, or as close above 1 MiB as its alignment allows.
Result<std::uint64_t> choose_load_address(ByteView head) {
  constexpr std::uint64_t kMiB = platform::kHighRamStart.value();
  const auto preferred = load_le<std::uint64_t>(head, kPrefAddress);
  const auto alignment = load_le<std::uint32_t>(head, kKernelAlignment);
  const bool relocatable = load_le<std::uint8_t>(head, kRelocatable) != 0;
  if (relocatable && (alignment == 0 || (alignment & (alignment - 1)) != 0)) {
    return corrupt(
        kKernelAlignment,
        fmt::format("the kernel's alignment {:#x} is not a power of two; get a fresh copy of the kernel",
                    alignment));
  }
  if (preferred >= kMiB) return preferred;
  return relocatable ? align_up<std::uint64_t>(kMiB, alignment) : kMiB;
}

ByteVector build_zero_page(const SetupHeader& header, const std::vector<MemoryRange>& ranges,
                           const Initrd& initrd) {
  ByteVector page(kZeroPageSize);
  std::copy(header.raw.begin(), header.raw.end(), page.begin() + kSetupSects);
  store_le<std::uint8_t>(page, kTypeOfLoader, kLoaderUnregistered);
  store_le<std::uint32_t>(page, kRamdiskImage, static_cast<std::uint32_t>(initrd.address.value()));
  store_le<std::uint32_t>(page, kRamdiskSize, static_cast<std::uint32_t>(initrd.size));
  store_le<std::uint32_t>(page, kCmdLinePtr, static_cast<std::uint32_t>(kCommandLine.value()));
  store_le<std::uint64_t>(page, kSetupData, 0);
  store_le<std::uint64_t>(page, kAcpiRsdpAddr, platform::kAcpiTablesBase.value());
  store_le<std::uint8_t>(page, kE820Entries, static_cast<std::uint8_t>(ranges.size()));
  std::size_t at = kE820Table;
  for (const MemoryRange& range : ranges) {
    store_le<std::uint64_t>(page, at, range.start.value());
    store_le<std::uint64_t>(page, at + 8, range.size);
    store_le<std::uint32_t>(page, at + 16, static_cast<std::uint32_t>(range.type));
    at += kE820EntrySize;
  }
  static_assert(kE820Table + kMaxMemoryRanges * kE820EntrySize <= kZeroPageSize);
  return page;
}

// Tables that map [0, 4 GiB) to itself in 2 MiB pages (AMD64 manual volume 2, 5.3.4).
Result<void> put_page_tables(const GuestMemory& memory) {
  constexpr std::uint64_t kPresentWritable = 3;
  constexpr std::uint64_t kLargePage = 0x80;
  constexpr std::uint64_t kGiBs = 4;
  constexpr std::uint64_t kEntriesPerTable = 512;
  std::array<std::byte, 8> top{};
  store_le<std::uint64_t>(top, 0, kPageDirectoryPointers.value() | kPresentWritable);
  VMSNAP_RETURN_IF_ERROR(put(memory, kPageMapLevel4, top, "the page tables"));
  ByteVector pointers(kGiBs * 8);
  for (std::uint64_t i = 0; i < kGiBs; ++i) {
    store_le<std::uint64_t>(pointers, i * 8, (kPageDirectories.value() + i * 4096) | kPresentWritable);
  }
  VMSNAP_RETURN_IF_ERROR(put(memory, kPageDirectoryPointers, pointers, "the page tables"));
  ByteVector directories(kGiBs * kEntriesPerTable * 8);
  for (std::uint64_t i = 0; i < kGiBs * kEntriesPerTable; ++i) {
    store_le<std::uint64_t>(directories, i * 8, (i << 21) | kPresentWritable | kLargePage);
  }
  return put(memory, kPageDirectories, directories, "the page tables");
}

Result<BootState> long_mode_state(const GuestMemory& memory, std::uint64_t entry) {
  VMSNAP_RETURN_IF_ERROR(put_page_tables(memory));
  BootState state;
  state.mode = BootMode::kLong64;
  state.rip = entry;
  state.rsp = kStackTop.value();
  state.rsi = kZeroPage.value();
  state.cr0 = 0x80000031;  // PG, NE, ET, PE
  state.cr3 = kPageMapLevel4.value();
  state.cr4 = 0x20;    // PAE
  state.efer = 0x500;  // LMA, LME
  VMSNAP_RETURN_IF_ERROR(put_flat_segments(memory, state));
  return state;
}

}  // namespace

bool is_bzimage(ByteView head) {
  return head.size() >= kMagic + 4 && load_le<std::uint32_t>(head, kMagic) == kMagicValue;
}

Result<SetupHeader> parse_setup_header(ByteView head, std::uint64_t file_size) {
  if (head.size() < kShortestEnd) {
    return Error(
               ErrorKind::kTruncated,
               fmt::format("the kernel ends within its setup header, after {} bytes; get a fresh copy of it",
                           head.size()))
        .at_offset(head.size());
  }
  if (load_le<std::uint32_t>(head, kMagic) != kMagicValue) {
    return Error(ErrorKind::kUnsupported, "this is not a Linux bzImage; name one").at_offset(kMagic);
  }
  if (load_le<std::uint16_t>(head, kBootFlag) != kBootFlagValue) {
    return corrupt(kBootFlag,
                   "the boot sector of the kernel lacks its 55 AA mark; get a fresh copy of the kernel");
  }
  const auto version = load_le<std::uint16_t>(head, kVersion);
  if (version < kFirstVersionWithXLoadFlags) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format(
                     "the kernel speaks boot protocol {}.{:02} but 2.12 is the first with a 64-bit entry; "
                     "use Linux 3.8 or newer",
                     version >> 8, version & 0xff))
        .at_offset(kVersion);
  }
  if ((load_le<std::uint16_t>(head, kXLoadFlags) & kXlfKernel64) == 0) {
    return Error(ErrorKind::kUnsupported, "the kernel has no 64-bit entry point; use one built for x86-64")
        .at_offset(kXLoadFlags);
  }
  if ((load_le<std::uint8_t>(head, kLoadFlags) & kLoadedHigh) == 0) {
    return Error(ErrorKind::kUnsupported, "the kernel is a zImage, to be loaded below 1 MiB; use a bzImage")
        .at_offset(kLoadFlags);
  }
  const std::size_t header_end = kMagic + load_le<std::uint8_t>(head, kJumpOffset);
  if (header_end < kShortestEnd || header_end > kLongestEnd) {
    return corrupt(kJumpOffset,
                   fmt::format("the kernel's setup header says it ends at {:#x}, which is outside "
                               "{:#x} to {:#x}; get a fresh copy of the kernel",
                               header_end, kShortestEnd, kLongestEnd));
  }
  if (header_end > head.size()) {
    return Error(ErrorKind::kTruncated, "the kernel ends within its setup header; get a fresh copy of it")
        .at_offset(head.size());
  }

  SetupHeader header;
  const std::uint64_t sectors = load_le<std::uint8_t>(head, kSetupSects);
  header.payload_offset = ((sectors == 0 ? 4 : sectors) + 1) * kSector;
  const std::uint64_t declared = std::uint64_t{load_le<std::uint32_t>(head, kSysSize)} * 16;
  if (file_size < header.payload_offset || file_size - header.payload_offset < declared) {
    return Error(ErrorKind::kTruncated,
                 fmt::format(
                     "the kernel needs {} bytes by its own headers but the file has {}; get a fresh copy "
                     "of it",
                     header.payload_offset + declared, file_size))
        .at_offset(file_size);
  }
  // All that follows, not only what the header declares: newer kernels round the declared size down.
  header.payload_size = file_size - header.payload_offset;
  if (header.payload_size <= kEntry64) {
    return corrupt(kSysSize,
                   fmt::format("the kernel proper has {} bytes, which do not reach its 64-bit entry "
                               "point; get a fresh copy of the kernel",
                               header.payload_size));
  }
  VMSNAP_ASSIGN_OR_RETURN(header.load_address, choose_load_address(head));
  header.memory_needed =
      std::max<std::uint64_t>(header.payload_size, load_le<std::uint32_t>(head, kInitSize));
  header.initrd_ceiling = std::uint64_t{load_le<std::uint32_t>(head, kInitrdAddrMax)} + 1;
  header.command_line_limit = load_le<std::uint32_t>(head, kCmdlineSize);
  const ByteView raw = head.subspan(kSetupSects, header_end - kSetupSects);
  header.raw.assign(raw.begin(), raw.end());
  return header;
}

Result<BootState> load_bzimage(const GuestMemory& memory, const File& kernel, ByteView head,
                               const File* initrd, std::string_view command_line) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, kernel.size());
  auto parsed = parse_setup_header(head, file_size);
  if (!parsed) return std::move(parsed).error().in_file(kernel.name());
  const SetupHeader& header = *parsed;

  const std::uint64_t ram_end = low_ram_end(memory.map());
  const auto kernel_end = checked_add(header.load_address, header.memory_needed);
  if (!kernel_end || *kernel_end > ram_end) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format(
                     "the kernel needs {:#x} bytes of memory at {:#x} but the guest's memory ends at {:#x}; "
                     "give the guest more memory",
                     header.memory_needed, header.load_address, ram_end))
        .in_file(kernel.name())
        .at_offset(kInitSize);
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<MemoryRange> ranges, memory_ranges(memory.map()));
  VMSNAP_RETURN_IF_ERROR(put_command_line(memory, command_line, header.command_line_limit));
  VMSNAP_RETURN_IF_ERROR(
      load(memory, kernel, header.payload_offset, header.payload_size, Gpa(header.load_address)));
  Initrd placed;
  if (initrd != nullptr) {
    VMSNAP_ASSIGN_OR_RETURN(
        placed, put_initrd(memory, *initrd, *kernel_end, std::min(ram_end, header.initrd_ceiling)));
  }
  VMSNAP_RETURN_IF_ERROR(put(memory, kZeroPage, build_zero_page(header, ranges, placed), "the zero page"));
  return long_mode_state(memory, header.load_address + kEntry64);
}

}  // namespace vmsnap::vmm::boot
