// SPDX-License-Identifier: BSD-2-Clause
// ELF kernels with a PVH entry. Sources: System V ABI, chapters 4 and 5 (ELF); Xen,
// docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h (PVH).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "boot/boot_state.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm::boot {

/// One PT_LOAD segment.
struct ElfSegment {
  std::uint64_t file_offset = 0;
  std::uint64_t file_size = 0;
  std::uint64_t address = 0;      // physical
  std::uint64_t memory_size = 0;  // not below file_size; the rest is zero
};

struct ElfKernel {
  std::vector<ElfSegment> segments;  // each lies in the file, at or above 1 MiB, and does not wrap
  std::uint32_t entry = 0;           // 32-bit physical entry, inside one of the segments
  std::uint64_t end = 0;             // highest end of a segment
};

/// True when `head` begins with the magic number of ELF.
[[nodiscard]] bool is_elf(ByteView head);

/// Reads headers and notes of an ELF file for x86. Does bounded work whatever the file says. Errors: Io,
/// Truncated, Corrupt, Unsupported (another machine, no PVH entry), LimitExceeded.
[[nodiscard]] Result<ElfKernel> parse_elf_kernel(const File& file);

/// Loads everything; see load_kernel().
[[nodiscard]] Result<BootState> load_elf_kernel(const GuestMemory& memory, const File& kernel,
                                                const File* initrd, std::string_view command_line);

}  // namespace vmsnap::vmm::boot
