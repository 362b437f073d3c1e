// SPDX-License-Identifier: BSD-2-Clause
// The list of all that conversion knows of particular device types. A type has a folder here as soon as it
// has a second version: steps/<type>/<type>_steps.h with a function `StepRegistry <type>_steps()`.
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// The steps and declarations of every type.
[[nodiscard]] StepRegistry registered_steps();

}  // namespace vmsnap::compat
