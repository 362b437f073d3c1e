// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// 1.0 <-> 2.0: the list of model-specific registers, and groups of named fields. Nothing is lost either way.
[[nodiscard]] StepRegistry x86_cpu_steps();

}  // namespace vmsnap::compat
