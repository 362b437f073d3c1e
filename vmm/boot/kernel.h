// SPDX-License-Identifier: BSD-2-Clause
// Direct boot of a kernel, without firmware.
#pragma once

#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "boot/boot_state.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm {

/// Prepares fresh guest memory to run `kernel`, a Linux bzImage (64-bit entry) or an ELF image with a PVH
/// entry (Linux vmlinux, FreeBSD), with an optional `initrd` and a command line, and says how the first vCPU
/// starts. The files are read straight into guest memory and need not outlive the call. The ACPI tables are
/// written apart, by write_acpi_tables(); the kernel is told where they will be.
///
/// Call before any vCPU runs. Errors: Io, Truncated, Corrupt (the headers contradict themselves or the
/// file), Unsupported (another kind of file, no 64-bit or PVH entry), LimitExceeded (does not fit the
/// guest's memory), Usage (command line too long, guest memory too small). After an error guest memory may
/// have been written to.
[[nodiscard]] Result<BootState> load_kernel(const GuestMemory& memory, const File& kernel, const File* initrd,
                                            std::string_view command_line);

}  // namespace vmsnap::vmm
