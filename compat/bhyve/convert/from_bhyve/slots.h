// SPDX-License-Identifier: BSD-2-Clause
// What of the host the devices of a converted machine need.
#pragma once

#include <vector>

#include "base/result.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/machine.h"
#include "snapshot/manifest.h"

namespace vmsnap::compat::bhyve {

/// Numbers that are used up.
struct SlotNames {
  unsigned disks = 0;
  unsigned networks = 0;
};

/// The slots of a device: a block backend for each disk (disk0, disk1, ...), with its size where the disk or
/// `state` says it, a network backend for each network adapter (net0, ...). Where they were on the host, a
/// snapshot of bhyve does not say. Errors: Internal.
[[nodiscard]] Result<std::vector<Slot>> slots_of(const MachineDevice& device, const PrivateState& state,
                                                 SlotNames& names);

}  // namespace vmsnap::compat::bhyve
