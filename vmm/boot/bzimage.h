// SPDX-License-Identifier: BSD-2-Clause
// The Linux/x86 boot protocol, 64-bit entry. Source of offsets and rules: Linux,
// Documentation/arch/x86/boot.rst ("The Linux/x86 Boot Protocol") and zero-page.rst.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "boot/boot_state.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm::boot {

/// What the loader needs from the setup header of a bzImage, checked against the file.
struct SetupHeader {
  std::uint64_t payload_offset = 0;  // of the protected-mode kernel, in the file
  std::uint64_t payload_size = 0;
  std::uint64_t load_address = 0;
  std::uint64_t memory_needed = 0;  // bytes from load_address that the kernel uses before it knows its memory
  std::uint64_t initrd_ceiling = 0;  // first address an initrd may not touch
  std::uint64_t command_line_limit = 0;
  ByteVector raw;  // the header itself, from offset 0x1f1 on
};

/// True when `head`, the first bytes of a file, has the magic number of the boot protocol.
[[nodiscard]] bool is_bzimage(ByteView head);

/// Reads the setup header from `head`, the first bytes of a file of `file_size` bytes (all of them, when
/// there are fewer than 4096). Pure. Errors: Truncated, Corrupt, Unsupported, with offsets.
[[nodiscard]] Result<SetupHeader> parse_setup_header(ByteView head, std::uint64_t file_size);

/// Loads everything; see load_kernel(). `head` as above.
[[nodiscard]] Result<BootState> load_bzimage(const GuestMemory& memory, const File& kernel, ByteView head,
                                             const File* initrd, std::string_view command_line);

}  // namespace vmsnap::vmm::boot
