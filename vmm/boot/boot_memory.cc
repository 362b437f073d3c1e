// SPDX-License-Identifier: BSD-2-Clause
#include "boot/boot_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace vmsnap::vmm::boot {
namespace {

constexpr std::uint64_t kPage = 4096;

bool is_ram(const MemoryMap& map, const MemoryMapping& mapping) {
  return map.segments[mapping.segment].kind == SegmentKind::kSystemMemory && !mapping.read_only;
}

std::uint64_t mib(std::uint64_t bytes) {
  return (bytes + (std::uint64_t{1} << 20) - 1) >> 20;
}

}  // namespace

Result<std::vector<MemoryRange>> memory_ranges(const MemoryMap& map) {
  constexpr std::uint64_t kLegacyStart = platform::kLowRamEnd.value();
  constexpr std::uint64_t kLegacyEnd = platform::kHighRamStart.value();
  constexpr std::uint64_t kKvmStart = platform::kKvmIdentityMapBase.value();
  constexpr std::uint64_t kKvmEnd = GuestMemory::kHighMemoryBase;

  std::vector<MemoryRange> ranges = {
      {Gpa(kLegacyStart), kLegacyEnd - kLegacyStart, MemoryType::kReserved},
      {Gpa(kKvmStart), kKvmEnd - kKvmStart, MemoryType::kReserved},
  };
  for (const MemoryMapping& mapping : map.mappings) {
    if (!is_ram(map, mapping)) continue;
    const std::uint64_t start = mapping.guest_address.value();
    const std::uint64_t end = start + mapping.size;
    if (start < kLegacyStart) {
      ranges.push_back({Gpa(start), std::min(end, kLegacyStart) - start, MemoryType::kRam});
    }
    if (end > kLegacyEnd) {
      const std::uint64_t above = std::max(start, kLegacyEnd);
      ranges.push_back({Gpa(above), end - above, MemoryType::kRam});
    }
  }
  if (ranges.size() > kMaxMemoryRanges) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the memory map has {} ranges but a guest can be told of {}; use fewer, larger "
                             "memory segments",
                             ranges.size(), kMaxMemoryRanges));
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const MemoryRange& a, const MemoryRange& b) { return a.start < b.start; });
  return ranges;
}

std::uint64_t low_ram_end(const MemoryMap& map) {
  if (map.mappings.empty()) return 0;
  const MemoryMapping& first = map.mappings.front();
  return first.guest_address == Gpa(0) && is_ram(map, first) ? first.size : 0;
}

Result<void> put(const GuestMemory& memory, Gpa address, ByteView bytes, std::string_view what) {
  if (memory.write(address, bytes)) return {};
  return Error(ErrorKind::kUsage,
               fmt::format("the guest has no memory at {:#x}, where {} belongs; give it at least 2 MiB that "
                           "begin at address 0",
                           address.value(), what));
}

Result<void> load(const GuestMemory& memory, const File& file, std::uint64_t offset, std::uint64_t size,
                  Gpa address) {
  const auto target = memory.find(address, size);
  if (!target) {
    return Error(
               ErrorKind::kLimitExceeded,
               fmt::format("{} bytes for guest address {:#x} do not lie in the guest's memory; give it more",
                           size, address.value()))
        .in_file(file.name())
        .at_offset(offset);
  }
  return file.read_at(offset, *target);
}

Result<void> put_command_line(const GuestMemory& memory, std::string_view command_line,
                              std::uint64_t kernel_limit) {
  const std::uint64_t limit = std::min(kernel_limit, kCommandLineLimit - 1);
  if (command_line.size() > limit) {
    return Error(
        ErrorKind::kUsage,
        fmt::format("the kernel command line has {} bytes but this kernel takes at most {}; shorten it",
                    command_line.size(), limit));
  }
  if (command_line.find('\0') != std::string_view::npos) {
    return Error(ErrorKind::kUsage, "the kernel command line contains a zero byte; remove it");
  }
  ByteVector bytes(command_line.size() + 1);
  std::copy_n(as_byte_view(command_line).begin(), command_line.size(), bytes.begin());
  return put(memory, kCommandLine, bytes, "the kernel command line");
}

Result<void> put_flat_segments(const GuestMemory& memory, BootState& state) {
  const bool is_64bit = state.mode == BootMode::kLong64;
  std::array<std::byte, 32> gdt{};
  store_le<std::uint64_t>(gdt, 0x10, is_64bit ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
  store_le<std::uint64_t>(gdt, 0x18, 0x00cf93000000ffff);
  state.gdt_base = kGdt;
  state.gdt_limit = gdt.size() - 1;
  state.code = {.selector = 0x10,
                .limit = 0xffffffff,
                .type = 0xb,
                .is_64bit = is_64bit,
                .default_32bit = !is_64bit,
                .page_granularity = true};
  state.data = {
      .selector = 0x18, .limit = 0xffffffff, .type = 0x3, .default_32bit = true, .page_granularity = true};
  state.task = {.limit = 0x67, .type = 0xb, .code_or_data = false};
  return put(memory, kGdt, gdt, "the segment descriptors");
}

Result<Initrd> put_initrd(const GuestMemory& memory, const File& file, std::uint64_t floor,
                          std::uint64_t ceiling) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  if (size == 0) {
    return Error(ErrorKind::kUsage, "the initial RAM disk is empty; name another file or none")
        .in_file(file.name());
  }
  const std::uint64_t top = ceiling & ~(kPage - 1);
  const std::uint64_t start = size > top ? 0 : (top - size) & ~(kPage - 1);
  if (size > top || start < floor) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format(
                     "the initial RAM disk has {} MiB but only {} MiB are free between the kernel and "
                     "the highest address it takes ({:#x}); give the guest more memory or use a smaller "
                     "one",
                     mib(size), top > floor ? (top - floor) >> 20 : 0, ceiling))
        .in_file(file.name());
  }
  VMSNAP_RETURN_IF_ERROR(load(memory, file, 0, size, Gpa(start)));
  return Initrd{Gpa(start), size};
}

}  // namespace vmsnap::vmm::boot
