// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu_run_state.h"

namespace vmsnap::compat::bhyve {
namespace {

// CpuRunState of x86_cpu.
constexpr std::uint8_t kRunning = 0, kWaitForSipi = 1, kHalted = 3;

// Guest activity state of the VMCS.
constexpr std::uint64_t kActive = 0, kHlt = 1, kShutdown = 2, kActivityWaitForSipi = 3;

}  // namespace

Result<void> set_waiting(StateTree& cpu, bool waiting) {
  return cpu.set("run_state", waiting ? kWaitForSipi : kRunning);
}

Result<bool> is_waiting(const StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const auto state, cpu.get<std::uint8_t>("run_state"));
  return state == kWaitForSipi;
}

Result<void> set_activity(StateTree& cpu, std::uint64_t activity) {
  VMSNAP_ASSIGN_OR_RETURN(const bool waiting, is_waiting(cpu));
  if (waiting) return {};
  if (activity == kHlt) return cpu.set("run_state", kHalted);
  if (activity == kShutdown) return cpu.set("events.triple_fault_pending", true);
  if (activity == kActivityWaitForSipi) return set_waiting(cpu, true);
  return {};
}

Result<std::uint64_t> activity_of(const StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const auto state, cpu.get<std::uint8_t>("run_state"));
  VMSNAP_ASSIGN_OR_RETURN(const auto shutdown, cpu.get<bool>("events.triple_fault_pending"));
  if (shutdown) return kShutdown;
  return state == kHalted ? kHlt : kActive;
}

}  // namespace vmsnap::compat::bhyve
