// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// Adds to each device's `restore_after` what this VMM knows must come before it: the order rules of KVM
/// state as data. Instances must be dense; edges that are there already stay. Used when saving, so that the
/// file says it, and when restoring, so that a file that says less is restored in the right order too.
void add_restore_edges(Manifest& manifest);

}  // namespace vmsnap::vmm
