// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// What conversion knows of mc146818 (schema/mc146818/mc146818.md).
[[nodiscard]] StepRegistry mc146818_steps();

}  // namespace vmsnap::compat
