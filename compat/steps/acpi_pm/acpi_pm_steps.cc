// SPDX-License-Identifier: BSD-2-Clause
#include "steps/acpi_pm/acpi_pm_steps.h"

namespace vmsnap::compat {
namespace {

constexpr ChunkVersion kVersion11{1, 1};

}  // namespace

StepRegistry acpi_pm_steps() {
  StepRegistry registry;
  registry.appended_fields = {
      {"acpi_pm", kVersion11, "gpe0_status", "gpe0", Loss::kNoticeable,
       "the guest never hears of the general-purpose events that have happened and that it has not handled"},
      {"acpi_pm", kVersion11, "gpe0_enable", "gpe0", Loss::kNoticeable,
       "the guest is told of none of the general-purpose events that it has enabled"},
  };
  return registry;
}

}  // namespace vmsnap::compat
