// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/devices/virtio.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * rng, machine.device(chunk.device_path, "virtio_rng"));
  return virtio_up(chunk, machine, *rng);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* rng, machine.need(chunk.device_path));
  return virtio_down(machine, *rng, 0, chunk);
}

}  // namespace

namespace mappings {
constinit const Mapping kVirtioRnd = {"virtio-rnd", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
