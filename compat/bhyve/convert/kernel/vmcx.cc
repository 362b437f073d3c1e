// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <optional>

#include "bhyve/convert/kernel/cpu.h"
#include "bhyve/convert/kernel/cpu_msrs.h"
#include "bhyve/convert/kernel/cpu_registers.h"
#include "bhyve/convert/kernel/cpu_run_state.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

// Guest interruptibility of the VMCS.
constexpr std::uint64_t kBlockedBySti = 1, kBlockedByMovSs = 2, kBlockedByNmi = 8;
/// The interrupt shadow of the VMCB, whatever began it.
constexpr std::uint64_t kShadow = 1;

constexpr std::uint64_t kCr0Pg = 1u << 31, kCr4Pae = 1u << 5, kEferLma = 1u << 10;
constexpr std::size_t kPdptes = 4;

constexpr std::size_t kPostedWords = 4, kIrrWords = 8;

Result<bool> has_pae_paging(const StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const auto cr0, cpu.get<std::uint64_t>("cr0"));
  VMSNAP_ASSIGN_OR_RETURN(const auto cr4, cpu.get<std::uint64_t>("cr4"));
  VMSNAP_ASSIGN_OR_RETURN(const auto efer, cpu.get<std::uint64_t>("efer"));
  return (cr0 & kCr0Pg) != 0 && (cr4 & kCr4Pae) != 0 && (efer & kEferLma) == 0;
}

Result<void> pdptes_up(const SourceChunk& chunk, const std::string& vcpu, StateTree& cpu) {
  VMSNAP_ASSIGN_OR_RETURN(const bool in_use, has_pae_paging(cpu));
  if (!in_use) return cpu.clear("pdpte");
  std::vector<std::uint64_t> entries(kPdptes);
  for (std::size_t i = 0; i < kPdptes; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(entries[i], chunk.number(fmt::format("{}pdpte{}", vcpu, i)));
  }
  return cpu.set("pdpte", entries);
}

Result<void> pdptes_down(const StateTree& cpu, const std::string& vcpu, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto entries, cpu.get<std::optional<std::vector<std::uint64_t>>>("pdpte"));
  if (!entries || entries->size() != kPdptes) return {};
  for (std::size_t i = 0; i < kPdptes; ++i) values.map(fmt::format("{}pdpte{}", vcpu, i), (*entries)[i]);
  return {};
}

/// An interrupt that was posted and that no processor has seen yet waits in IRR, to a guest.
Result<void> posted_interrupts_up(const SourceChunk& chunk, const std::string& vcpu, StateTree& lapic) {
  const std::string pir = vcpu + "pir_desc.pir";
  if (chunk.decoded.find(pir) == nullptr) return {};
  VMSNAP_ASSIGN_OR_RETURN(auto irr, lapic.get<std::vector<std::uint32_t>>("irr"));
  irr.resize(kIrrWords);
  for (std::size_t i = 0; i < kPostedWords; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t posted, chunk.number(pir, i));
    irr[2 * i] |= static_cast<std::uint32_t>(posted);
    irr[2 * i + 1] |= static_cast<std::uint32_t>(posted >> 32);
  }
  return lapic.set("irr", irr);
}

Result<void> intel_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine, StateTree& cpu) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_RETURN_IF_ERROR(pdptes_up(chunk, vcpu, cpu));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t blocking, chunk.number(vcpu + "interruptibility"));
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.blocked_by_sti", (blocking & kBlockedBySti) != 0));
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.blocked_by_mov_ss", (blocking & kBlockedByMovSs) != 0));
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.nmi_blocked", (blocking & kBlockedByNmi) != 0));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t activity, chunk.number(vcpu + "activity"));
  VMSNAP_RETURN_IF_ERROR(set_activity(cpu, activity));
  VMSNAP_ASSIGN_OR_RETURN(StateTree * lapic, lapic_of(machine, index));
  VMSNAP_RETURN_IF_ERROR(posted_interrupts_up(chunk, vcpu, *lapic));
  machine.not_in_file(
      {cpu_path(index), "bits of CR0 and CR4 that the host keeps from the guest",
       "those the processor ran with",
       "a guest that has set CR0.NE, CD or NW to something else than its processor reads them "
       "back changed, as it would after bhyve's own restore"});
  return {};
}

Result<void> amd_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine, StateTree& cpu) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t shadow, chunk.number(vcpu + "intr_shadow"));
  VMSNAP_RETURN_IF_ERROR(cpu.set("events.blocked_by_sti", (shadow & kShadow) != 0));
  VMSNAP_RETURN_IF_ERROR(last_branch_up(chunk, vcpu, cpu));
  const std::string path = cpu_path(index);
  machine.not_in_file({path, "time_stamp.tsc_aux", "nothing",
                       "RDTSCP gives the number of another CPU until the guest's kernel writes the register "
                       "again; none where the guest's processor has no RDTSCP"});
  machine.not_in_file({path, "events.nmi_blocked", "NMIs are not blocked",
                       "an NMI that arrives while the guest still handles one before it is taken at once"});
  return {};
}

Result<void> vcpu_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(StateTree * cpu, cpu_of(machine, index));
  VMSNAP_RETURN_IF_ERROR(carry_up(plain_registers(), chunk, vcpu, *cpu, ""));
  VMSNAP_RETURN_IF_ERROR(carry_up(host_touched_registers(chunk.vendor), chunk, vcpu, *cpu, ""));
  VMSNAP_RETURN_IF_ERROR(segments_up(chunk, vcpu, *cpu));
  VMSNAP_RETURN_IF_ERROR(mtrrs_up(chunk, vcpu, *cpu));
  VMSNAP_ASSIGN_OR_RETURN(const bool has_mtrrs, cpu->has("memory_types.mtrr_def_type"));
  if (!has_mtrrs) {
    machine.not_in_file(
        {cpu_path(index), "MTRRs", "nothing",
         "a guest that reads them finds what its next host starts with, not what it wrote when it "
         "booted"});
  }
  return chunk.vendor == Vendor::kIntel ? intel_up(chunk, index, machine, *cpu)
                                        : amd_up(chunk, index, machine, *cpu);
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_RETURN_IF_ERROR(need_records(chunk, machine));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) VMSNAP_RETURN_IF_ERROR(vcpu_up(chunk, i, machine));
  return {};
}

Result<void> intel_down(const StateTree& cpu, const std::string& vcpu, Values& values) {
  VMSNAP_RETURN_IF_ERROR(pdptes_down(cpu, vcpu, values));
  VMSNAP_ASSIGN_OR_RETURN(const auto by_sti, cpu.get<bool>("events.blocked_by_sti"));
  VMSNAP_ASSIGN_OR_RETURN(const auto by_mov_ss, cpu.get<bool>("events.blocked_by_mov_ss"));
  VMSNAP_ASSIGN_OR_RETURN(const auto by_nmi, cpu.get<bool>("events.nmi_blocked"));
  values.map(vcpu + "interruptibility",
             (by_sti ? kBlockedBySti : 0) | (by_mov_ss ? kBlockedByMovSs : 0) | (by_nmi ? kBlockedByNmi : 0));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t activity, activity_of(cpu));
  values.map(vcpu + "activity", activity);
  return {};
}

Result<void> amd_down(const StateTree& cpu, const std::string& vcpu, Values& values) {
  VMSNAP_ASSIGN_OR_RETURN(const auto by_sti, cpu.get<bool>("events.blocked_by_sti"));
  values.map(vcpu + "intr_shadow", by_sti ? kShadow : 0);
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t cpl, cpl_of(cpu));
  values.derive(vcpu + "cpl", cpl);
  return last_branch_down(cpu, vcpu, values);
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_RETURN_IF_ERROR(need_room(machine, chunk));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) {
    const std::string vcpu = vcpu_prefix(i);
    VMSNAP_ASSIGN_OR_RETURN(const StateTree* cpu, machine.need(cpu_path(i)));
    VMSNAP_RETURN_IF_ERROR(carry_down(plain_registers(), *cpu, "", chunk.values, vcpu));
    VMSNAP_RETURN_IF_ERROR(carry_down(host_touched_registers(chunk.vendor), *cpu, "", chunk.values, vcpu));
    VMSNAP_RETURN_IF_ERROR(segments_down(*cpu, vcpu, chunk));
    VMSNAP_RETURN_IF_ERROR(mtrrs_down(*cpu, vcpu, chunk));
    VMSNAP_ASSIGN_OR_RETURN(const auto rip, cpu->get<std::uint64_t>("rip"));
    chunk.values.derive(vcpu + "rip", rip);
    VMSNAP_RETURN_IF_ERROR(chunk.vendor == Vendor::kIntel ? intel_down(*cpu, vcpu, chunk.values)
                                                          : amd_down(*cpu, vcpu, chunk.values));
  }
  return {};
}

}  // namespace

namespace mappings {
constinit const Mapping kVmcx = {"vmcx", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
