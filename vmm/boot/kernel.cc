// SPDX-License-Identifier: BSD-2-Clause
#include "boot/kernel.h"

#include <algorithm>
#include <array>

#include "boot/bzimage.h"
#include "boot/elf_pvh.h"

namespace vmsnap::vmm {

Result<BootState> load_kernel(const GuestMemory& memory, const File& kernel, const File* initrd,
                              std::string_view command_line) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, kernel.size());
  std::array<std::byte, 4096> buffer{};
  const MutableByteView head = MutableByteView(buffer).first(std::min<std::uint64_t>(size, buffer.size()));
  VMSNAP_RETURN_IF_ERROR(kernel.read_at(0, head));
  if (boot::is_elf(head)) return boot::load_elf_kernel(memory, kernel, initrd, command_line);
  if (boot::is_bzimage(head)) return boot::load_bzimage(memory, kernel, head, initrd, command_line);
  return Error(ErrorKind::kUnsupported,
               "this is neither a Linux bzImage nor an ELF kernel with a PVH entry point; name one of these")
      .in_file(kernel.name());
}

}  // namespace vmsnap::vmm
