// SPDX-License-Identifier: BSD-2-Clause
// The pixels go straight from the chunk to a segment of memory and back: whoever reads and writes snapshots
// moves them. They are 16 MiB and no part of a device's state.
#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kMemoryBar = 1;

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * display, machine.device(chunk.device_path, "framebuffer"));
  VMSNAP_RETURN_IF_ERROR(pci_up(chunk, machine, *display, "pci."));
  VMSNAP_RETURN_IF_ERROR(display->set("segment", "framebuffer"));
  VMSNAP_RETURN_IF_ERROR(display->set("memory_bar", kMemoryBar));
  machine.not_in_file({chunk.device_path, "mode", "not known",
                       "Until the guest sets a mode, a viewer has to be told the size of the picture."});
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* display, machine.need(chunk.device_path));
  return pci_down(*display, "pci.", chunk);
}

}  // namespace

namespace mappings {
constinit const Mapping kFbuf = {"fbuf", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
