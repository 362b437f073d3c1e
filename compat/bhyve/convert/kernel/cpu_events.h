// SPDX-License-Identifier: BSD-2-Clause
// An event whose delivery an exit cut short: exitintinfo, in the layout of the VMCS's IDT-vectoring
// information with the error code above it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat::bhyve {

/// Leaves x86_cpu.events without an event when the information is not valid or of no known type.
[[nodiscard]] Result<void> set_event(StateTree& cpu, std::uint64_t exitintinfo);
/// 0 when there is no such event.
[[nodiscard]] Result<std::uint64_t> event_of(const StateTree& cpu);

}  // namespace vmsnap::compat::bhyve
