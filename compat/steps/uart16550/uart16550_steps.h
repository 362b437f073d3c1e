// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// What conversion knows of uart16550 (schema/uart16550/uart16550.md).
[[nodiscard]] StepRegistry uart16550_steps();

}  // namespace vmsnap::compat
