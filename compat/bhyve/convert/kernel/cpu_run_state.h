// SPDX-License-Identifier: BSD-2-Clause
// What a vCPU does when it runs next. bhyve says it in up to three places: startup_cpus of vm (B, C),
// boot_state of vlapic (A), and the activity state of Intel's VMCS, in this order of weight.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat::bhyve {

/// The first word: a CPU waits for its start-up interrupt, or runs.
[[nodiscard]] Result<void> set_waiting(StateTree& cpu, bool waiting);
[[nodiscard]] Result<bool> is_waiting(const StateTree& cpu);

/// Changes nothing for a CPU that waits.
[[nodiscard]] Result<void> set_activity(StateTree& cpu, std::uint64_t activity);
/// A CPU that waits for its start-up interrupt is active to bhyve, which does not let it run.
[[nodiscard]] Result<std::uint64_t> activity_of(const StateTree& cpu);

}  // namespace vmsnap::compat::bhyve
