// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "migrate/step.h"

namespace vmsnap::compat {

/// What conversion knows of acpi_pm (schema/acpi_pm/acpi_pm.md).
[[nodiscard]] StepRegistry acpi_pm_steps();

}  // namespace vmsnap::compat
