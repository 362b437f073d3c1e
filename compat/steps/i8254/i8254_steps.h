// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// 1.0 <-> 2.0: the time since a counter was loaded in nanoseconds, and in pulses of its input with the level
/// of OUT.
[[nodiscard]] StepRegistry i8254_steps();

}  // namespace vmsnap::compat
