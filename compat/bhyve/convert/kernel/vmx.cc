// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/kernel/cpu.h"
#include "bhyve/convert/kernel/cpu_msrs.h"
#include "bhyve/convert/kernel/cpu_registers.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

/// B has an empty chunk.
bool is_empty(const Layout& layout) {
  return layout.items().empty();
}

Result<void> vcpu_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine) {
  const std::string vcpu = vcpu_prefix(index);
  const std::string save_area = vcpu + "save_area.";
  VMSNAP_ASSIGN_OR_RETURN(StateTree * cpu, cpu_of(machine, index));
  VMSNAP_RETURN_IF_ERROR(carry_up(plain_registers(), chunk, vcpu, *cpu, ""));
  VMSNAP_RETURN_IF_ERROR(carry_up(own_save_area_registers(), chunk, save_area, *cpu, ""));
  return last_branch_up(chunk, save_area, *cpu);
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  if (is_empty(chunk.decoded.layout())) return {};
  VMSNAP_RETURN_IF_ERROR(need_records(chunk, machine));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) VMSNAP_RETURN_IF_ERROR(vcpu_up(chunk, i, machine));
  return {};
}

Result<void> save_area_down(const StateTree& cpu, const std::string& vcpu, Values& values) {
  const std::string save_area = vcpu + "save_area.";
  VMSNAP_RETURN_IF_ERROR(carry_down(own_save_area_registers(), cpu, "", values, save_area));
  VMSNAP_RETURN_IF_ERROR(
      carry_down(repeated_save_area_registers(), cpu, "", values, save_area, Origin::kDerived));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t cpl, cpl_of(cpu));
  values.derive(save_area + "cpl", cpl);
  VMSNAP_ASSIGN_OR_RETURN(const auto blocked, cpu.get<bool>("events.blocked_by_sti"));
  values.derive(vcpu + "intr_shadow", blocked ? 1 : 0);
  return last_branch_down(cpu, save_area, values);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  if (is_empty(chunk.layout)) return {};
  VMSNAP_RETURN_IF_ERROR(need_room(machine, chunk));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) {
    const std::string vcpu = vcpu_prefix(i);
    VMSNAP_ASSIGN_OR_RETURN(const StateTree* cpu, machine.need(cpu_path(i)));
    VMSNAP_RETURN_IF_ERROR(carry_down(plain_registers(), *cpu, "", chunk.values, vcpu));
    if (chunk.vendor == Vendor::kAmd) VMSNAP_RETURN_IF_ERROR(save_area_down(*cpu, vcpu, chunk.values));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVmx = {"vmx", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
