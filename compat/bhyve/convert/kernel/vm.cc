// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "bhyve/convert/kernel/cpu.h"
#include "bhyve/convert/kernel/cpu_events.h"
#include "bhyve/convert/kernel/cpu_run_state.h"
#include "bhyve/convert/mappings.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr Row kRows[] = {
    {"guest_xcr0", "xcr0"},
    {"nextrip", "rip"},
    {"tsc", "tsc"},
};

constexpr std::uint64_t kApicBase = 0xfee00000;
constexpr std::uint64_t kApicBaseBsp = 1u << 8, kApicBaseX2 = 1u << 10, kApicBaseEnable = 1u << 11;
constexpr std::uint64_t kX2apicEnabled = 1;

constexpr std::string_view kStartupCpus = "startup_cpus";
constexpr std::uint64_t kBitsPerLong = 64;
/// Bits of the widest set of CPUs that is believed.
constexpr std::uint64_t kMaxCpusetLongs = 65536 / kBitsPerLong;
constexpr std::uint64_t kUsualCpusetLongs = 1024 / kBitsPerLong;

void note_what_is_missing(Machine& machine, std::uint32_t index) {
  const std::string cpu = cpu_path(index);
  machine.not_in_file({cpu, "x87, SSE and AVX state", "the initial state of the processor",
                       "a program that was computing with floating-point or vector registers goes on with "
                       "other numbers, as it would after bhyve's own restore; one that had not begun, or "
                       "whose registers the guest's kernel had put aside, is not affected"});
  machine.not_in_file(
      {cpu, "events.nmi_pending", "none waits",
       "an NMI that was raised and not yet taken does not happen; guests use NMIs to profile, "
       "to watch over themselves and to write crash dumps"});
  machine.not_in_file({cpu, "a waiting exception", "none waits",
                       "an instruction that caused one is executed again and causes it again; a debug trap "
                       "behind an instruction does not happen"});
  machine.not_in_file({cpu, "a waiting interrupt of the 8259 (ExtINT)", "none waits",
                       "none: the request is still in the registers of the 8259, which raises it again"});
  machine.not_in_file(
      {cpu, "CPUID (chunk cpu_profile)", "no such chunk",
       "whoever restores the guest has to give it a processor with the features that it has used since it "
       "booted, and nothing in the file says which; on a host of another model it can stop at an instruction "
       "that the processor does not have"});
  machine.not_in_file({cpu, "chunk kvm_clock", "no such chunk", "none: bhyve has no such clock"});
  const std::string lapic = lapic_path(index);
  machine.not_in_file({lapic, "apic_base", "FEE00000h, enabled, in the mode that x2apic_state says",
                       "none, unless the guest had switched its local APIC off in IA32_APIC_BASE"});
}

Result<void> vcpu_up(const SourceChunk& chunk, std::uint32_t index, Machine& machine) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(StateTree * cpu, cpu_of(machine, index));
  VMSNAP_RETURN_IF_ERROR(carry_up(kRows, chunk, vcpu, *cpu, ""));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t event, chunk.number(vcpu + "exitintinfo"));
  VMSNAP_RETURN_IF_ERROR(set_event(*cpu, event));
  const auto startup = chunk.decoded.number(kStartupCpus, index / kBitsPerLong);
  VMSNAP_RETURN_IF_ERROR(set_waiting(*cpu, startup && (startup->bits >> index % kBitsPerLong & 1) != 0));

  VMSNAP_ASSIGN_OR_RETURN(StateTree * lapic, lapic_of(machine, index));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t x2apic, chunk.number(vcpu + "x2apic_state"));
  VMSNAP_RETURN_IF_ERROR(lapic->set("apic_base", kApicBase | kApicBaseEnable |
                                                     (x2apic == kX2apicEnabled ? kApicBaseX2 : 0) |
                                                     (index == 0 ? kApicBaseBsp : 0)));
  note_what_is_missing(machine, index);
  return {};
}

Result<void> up(const SourceChunk& chunk, Machine& machine) {
  VMSNAP_RETURN_IF_ERROR(need_records(chunk, machine));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) VMSNAP_RETURN_IF_ERROR(vcpu_up(chunk, i, machine));
  return {};
}

Result<void> vcpu_down(const Machine& machine, std::uint32_t index, Values& values) {
  const std::string vcpu = vcpu_prefix(index);
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* cpu, machine.need(cpu_path(index)));
  VMSNAP_ASSIGN_OR_RETURN(const StateTree* lapic, machine.need(lapic_path(index)));
  VMSNAP_RETURN_IF_ERROR(carry_down(kRows, *cpu, "", values, vcpu));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t event, event_of(*cpu));
  values.map(vcpu + "exitintinfo", event);
  VMSNAP_ASSIGN_OR_RETURN(const bool x2apic, is_x2apic(*lapic));
  values.map(vcpu + "x2apic_state", x2apic ? kX2apicEnabled : 0);
  return {};
}

/// Width of startup_cpus in 64-bit words; 0 when the layout has none.
Result<std::uint64_t> cpuset_longs(const Machine& machine, TargetChunk& chunk) {
  const auto items = chunk.layout.items();
  if (items.empty() || items.back().name != kStartupCpus) return std::uint64_t{0};
  if (items.back().count.source == Count::Source::kFixed) return items.back().count.fixed;
  if (!chunk.context.cpuset_longs) {
    chunk.context.cpuset_longs = kUsualCpusetLongs;
    Context without = chunk.context;
    without.cpuset_longs = 0;
    const auto records = size_in(chunk.layout, without);
    if (chunk.original_size && records && *chunk.original_size >= *records) {
      chunk.context.cpuset_longs = (*chunk.original_size - *records) / sizeof(std::uint64_t);
    }
  }
  if (*chunk.context.cpuset_longs <= kMaxCpusetLongs) return *chunk.context.cpuset_longs;
  return Error(
      ErrorKind::kCorrupt,
      fmt::format("startup_cpus would have {} words for {} vCPUs; no kernel of bhyve is built for more "
                  "than {} vCPUs",
                  *chunk.context.cpuset_longs, machine.vcpus(), kMaxCpusetLongs * kBitsPerLong));
}

Result<void> startup_cpus_down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t longs, cpuset_longs(machine, chunk));
  if (longs == 0) return {};
  std::vector<std::uint64_t> waiting(longs);
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const StateTree* cpu, machine.need(cpu_path(i)));
    VMSNAP_ASSIGN_OR_RETURN(const bool waits, is_waiting(*cpu));
    if (!waits) continue;
    if (i / kBitsPerLong >= longs) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("CPU {} waits to be started, and startup_cpus has room for {} CPUs in this "
                               "shape; write a set of another shape",
                               i, longs * kBitsPerLong));
    }
    waiting[i / kBitsPerLong] |= std::uint64_t{1} << i % kBitsPerLong;
  }
  const ByteView bytes = std::as_bytes(std::span(waiting));
  chunk.values.map(std::string(kStartupCpus), ByteVector(bytes.begin(), bytes.end()));
  return {};
}

Result<void> down(const Machine& machine, TargetChunk& chunk) {
  VMSNAP_RETURN_IF_ERROR(need_room(machine, chunk));
  for (std::uint32_t i = 0; i < machine.vcpus(); ++i) {
    VMSNAP_RETURN_IF_ERROR(vcpu_down(machine, i, chunk.values));
  }
  return startup_cpus_down(machine, chunk);
}

}  // namespace

namespace mappings {
constinit const Mapping kVm = {"vm", up, down};
}  // namespace mappings

}  // namespace vmsnap::compat::bhyve
