// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/hostbridge.h"

#include "bhyve/convert/devices/pci_prefix.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "pci0/00:00.0";
constexpr std::string_view kPci = "function.";

constexpr std::size_t kConfigSpaceSize = 256;
/// The vendor, of which bhyve's bridge has the device number too: NetApp.
constexpr std::uint16_t kIdentity = 0x1275;
constexpr std::uint16_t kHostBridgeClass = 0x0600;

Result<StateTree*> bridge(Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * state, machine.device(kPath, "pci_host"));
  machine.not_in_file({std::string(kPath), "config_address", "0",
                       "A guest that was about to access the configuration space of a PCI function reads all "
                       "ones, or its write is lost."});
  return state;
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * state, bridge(machine));
  return pci_up(chunk, machine, *state, kPci);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* state, machine.need(kPath));
  return pci_down(*state, kPci, chunk);
}

}  // namespace

Result<void> make_host_bridge(Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * state, bridge(machine));
  ByteVector space(kConfigSpaceSize);
  store_le(MutableByteView(space), 0x00, kIdentity);
  store_le(MutableByteView(space), 0x02, kIdentity);
  store_le(MutableByteView(space), 0x0a, kHostBridgeClass);
  VMSNAP_RETURN_IF_ERROR(state->set("function.config_space", space));
  VMSNAP_RETURN_IF_ERROR(state->make("function.bars"));
  machine.not_in_file({std::string(kPath), "function", "bhyve's host bridge as it is after a reset",
                       "What the guest wrote into its configuration space is lost."});
  return {};
}

namespace mappings {
constinit const Mapping kHostbridge = {"hostbridge", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
