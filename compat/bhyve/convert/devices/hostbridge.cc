// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPci = "function.";

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * bridge, machine.device(chunk.device_path, "pci_host"));
  machine.not_in_file({chunk.device_path, "config_address", "0",
                       "A guest that was about to access the configuration space of a PCI function reads all "
                       "ones, or its write is lost."});
  return pci_up(chunk, machine, *bridge, kPci);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* bridge, machine.need(chunk.device_path));
  return pci_down(*bridge, kPci, chunk);
}

}  // namespace

namespace mappings {
constinit const Mapping kHostbridge = {"hostbridge", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
