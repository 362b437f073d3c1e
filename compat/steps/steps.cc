// SPDX-License-Identifier: BSD-2-Clause
#include "steps/steps.h"

#include "steps/acpi_pm/acpi_pm_steps.h"
#include "steps/mc146818/mc146818_steps.h"
#include "steps/uart16550/uart16550_steps.h"

namespace vmsnap::compat {

StepRegistry registered_steps() {
  StepRegistry all;
  all.add(acpi_pm_steps());
  all.add(mc146818_steps());
  all.add(uart16550_steps());
  return all;
}

}  // namespace vmsnap::compat
