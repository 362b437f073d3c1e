// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "base/result.h"
#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

/// What the model-specific registers of a state may hold whatever the host: each of them once and in its
/// place, memory types that exist, addresses that are canonical. Pure. Errors: Corrupt, LimitExceeded; with
/// the field.
[[nodiscard]] Result<void> check_msrs(const schema::X86CpuT& cpu);

}  // namespace vmsnap::vmm
