// SPDX-License-Identifier: BSD-2-Clause
// What both boot protocols share: where the boot code puts its structures in guest memory, the memory map
// told to the guest, the segments it starts with, and how files and the command line get there. Internal to
// boot/.
//
// None of these functions is thread-safe against a running guest: they work before any vCPU has run.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/gpa.h"
#include "base/result.h"
#include "boot/boot_state.h"
#include "boot/platform.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm::boot {

// All below 640 KiB, which the guest may use once it has copied what it wants to keep. A kernel is never
// loaded below 1 MiB, so none of these is ever overwritten by one.
inline constexpr Gpa kGdt{0x1000};
inline constexpr Gpa kPvhStartInfo{0x2000};
inline constexpr Gpa kPvhModuleList{0x3000};
inline constexpr Gpa kPvhMemoryMap{0x4000};
inline constexpr Gpa kZeroPage{0x7000};
inline constexpr Gpa kPageMapLevel4{0x9000};
inline constexpr Gpa kPageDirectoryPointers{0xa000};
inline constexpr Gpa kPageDirectories{0xb000};  // four pages, one per GiB
inline constexpr Gpa kStackTop{0x1f000};
inline constexpr Gpa kCommandLine{0x20000};
inline constexpr std::uint64_t kCommandLineLimit = 0x10000;  // with its terminator

/// The most entries the zero page has room for; PVH is held to the same.
inline constexpr std::size_t kMaxMemoryRanges = 128;

/// Values as in the E820 table (ACPI 6.4, table 15.1) and the PVH memory map.
enum class MemoryType : std::uint32_t { kRam = 1, kReserved = 2 };

struct MemoryRange {
  Gpa start;
  std::uint64_t size = 0;
  MemoryType type = MemoryType::kRam;
  bool operator==(const MemoryRange&) const = default;
};

/// The map told to the guest: system memory of `map`, without 640 KiB to 1 MiB, which is reserved (the ACPI
/// tables are there), and the pages that KVM keeps below 4 GiB, reserved as well. Device memory is not in it:
/// its place is what the BARs say. Errors: LimitExceeded above kMaxMemoryRanges.
[[nodiscard]] Result<std::vector<MemoryRange>> memory_ranges(const MemoryMap& map);

/// End of the RAM that begins at address 0 and is one piece of host memory; 0 when there is none.
[[nodiscard]] std::uint64_t low_ram_end(const MemoryMap& map);

/// Writes `bytes`, which the VMM made and calls `what`. Errors: Usage when there is no RAM at `address`.
[[nodiscard]] Result<void> put(const GuestMemory& memory, Gpa address, ByteView bytes, std::string_view what);

/// Reads [offset, offset + size) of `file` straight into guest memory. The caller has checked the range
/// against low_ram_end(). Errors: Io, Truncated; LimitExceeded when it is not RAM after all.
[[nodiscard]] Result<void> load(const GuestMemory& memory, const File& file, std::uint64_t offset,
                                std::uint64_t size, Gpa address);

/// Writes `command_line` and a terminator at kCommandLine. `kernel_limit` is the longest the kernel takes, in
/// bytes without terminator. Errors: Usage when it is longer or contains a zero byte.
[[nodiscard]] Result<void> put_command_line(const GuestMemory& memory, std::string_view command_line,
                                            std::uint64_t kernel_limit);

/// Writes segment descriptors at kGdt and fills in what `state` says of segments, for code as wide as
/// `state.mode`: flat, with the selectors that both protocols ask for, 0x10 for code and 0x18 for data.
/// Errors: as put().
[[nodiscard]] Result<void> put_flat_segments(const GuestMemory& memory, BootState& state);

struct Initrd {
  Gpa address;
  std::uint64_t size = 0;
};

/// Loads all of `file` as high as it goes, on a page boundary, within [floor, ceiling). Errors: Io;
/// LimitExceeded when it does not fit; Usage when it is empty.
[[nodiscard]] Result<Initrd> put_initrd(const GuestMemory& memory, const File& file, std::uint64_t floor,
                                        std::uint64_t ceiling);

}  // namespace vmsnap::vmm::boot
