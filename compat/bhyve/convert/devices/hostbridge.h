// SPDX-License-Identifier: BSD-2-Clause
// The host bridge of a snapshot that does not hold one: those of the generations A and B.
#pragma once

#include "bhyve/convert/machine.h"

namespace vmsnap::compat::bhyve {

/// Makes bhyve's host bridge at pci0/00:00.0 from its identity, and notes that it is not in the file. Errors:
/// Internal.
[[nodiscard]] Result<void> make_host_bridge(Machine& machine);

}  // namespace vmsnap::compat::bhyve
