// SPDX-License-Identifier: BSD-2-Clause
#include "steps/steps.h"

#include "steps/acpi_pm/acpi_pm_steps.h"
#include "steps/i8254/i8254_steps.h"
#include "steps/mc146818/mc146818_steps.h"
#include "steps/uart16550/uart16550_steps.h"
#include "steps/virtio_blk/virtio_blk_steps.h"
#include "steps/x86_cpu/x86_cpu_steps.h"

namespace vmsnap::compat {

StepRegistry registered_steps() {
  StepRegistry all;
  all.add(acpi_pm_steps());
  all.add(i8254_steps());
  all.add(mc146818_steps());
  all.add(uart16550_steps());
  all.add(virtio_blk_steps());
  all.add(x86_cpu_steps());
  return all;
}

}  // namespace vmsnap::compat
