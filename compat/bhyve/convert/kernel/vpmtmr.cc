// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kPath = "isa0/acpi_pm@400";
/// SCI_EN: a guest that knows ACPI has switched to it while it booted.
constexpr std::uint16_t kPm1Control = 0x1;

constexpr Row kRows[] = {{"baseval", "pm_timer"}};

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_ASSIGN_OR_RETURN(StateTree * acpi_pm, machine.device(kPath, "acpi_pm"));
  VMSNAP_RETURN_IF_ERROR(acpi_pm->set("pm1_control", kPm1Control));
  const std::string path(kPath);
  machine.not_in_file({path, "pm1_status, pm1_enable, pm1_control", "0, 0 and SCI_EN",
                       "The guest does not notice a press of the power button, unless it enables that event "
                       "again."});
  machine.not_in_file({path, "gpe0_status, gpe0_enable", "0", "General-purpose events stay disabled."});
  return carry_up(kRows, chunk, "", *acpi_pm, "");
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* acpi_pm, machine.need(kPath));
  return carry_down(kRows, *acpi_pm, "", chunk.values, "");
}

}  // namespace

namespace mappings {
constinit const Mapping kVpmtmr = {"vpmtmr", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
