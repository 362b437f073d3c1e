// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/machine_state.h"

#include <fmt/format.h>

#include "core/state_buffer.h"
#include "kvm/host_clock.h"

namespace vmsnap::vmm {
// The timer and the interrupt controllers run on while the virtual CPUs stand: they are read from the source
// of an interrupt towards the virtual CPU, so that one under way is seen twice rather than not at all.
Result<KvmState> save_kvm_state(const KvmVm& vm) {
  KvmState state;
  VMSNAP_ASSIGN_OR_RETURN(state.i8254, save_i8254(vm));
  VMSNAP_ASSIGN_OR_RETURN(state.i8259, save_i8259(vm));
  VMSNAP_ASSIGN_OR_RETURN(state.ioapic, save_ioapic(vm));
  VMSNAP_ASSIGN_OR_RETURN(ClockSnapshot clock, save_clock(vm));
  state.clock = clock.state;
  for (std::uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    VMSNAP_ASSIGN_OR_RETURN(VcpuState vcpu, save_vcpu(vm.vcpu(i), clock.host_tsc));
    state.vcpus.push_back(std::move(vcpu));
  }
  return state;
}

Result<PreparedKvmState> prepare_restore(const KvmState& state, const HostFacts& facts) {
  if (state.vcpus.size() != facts.vcpu_count) {
    return Error(ErrorKind::kCorrupt, fmt::format("there is state of {} virtual CPUs; the machine has {}",
                                                  state.vcpus.size(), facts.vcpu_count));
  }
  PreparedKvmState prepared;
  for (std::uint32_t i = 0; i < state.vcpus.size(); ++i) {
    const std::string device = fmt::format("cpu{}", i);
    if (state.vcpus[i].cpu.index != i) {
      return corrupt_field("index", fmt::format("the state of virtual CPU {} says that it is number {}", i,
                                                state.vcpus[i].cpu.index))
          .in_device(device);
    }
    auto vcpu = prepare_vcpu(state.vcpus[i], facts);
    if (!vcpu) return std::move(vcpu).error().in_device(device);
    prepared.vcpus.push_back(std::move(vcpu).value());
  }
  if (auto checked = check_ioapic(state.ioapic); !checked)
    return std::move(checked).error().in_device("ioapic");
  prepared.i8259 = state.i8259;
  prepared.ioapic = state.ioapic;
  prepared.i8254 = state.i8254;
  prepared.clock = state.clock;
  return prepared;
}

Result<RestoredTime> apply_restore(const KvmVm& vm, const PreparedKvmState& state, TimePolicy policy) {
  VMSNAP_ASSIGN_OR_RETURN(const RestoredTime time,
                          plan_time(state.clock, policy, vm.facts().guest_tsc_khz, host_realtime_ns(),
                                    vm.fd().calls()->host_tsc()));
  const auto each_vcpu = [&](auto&& step) -> Result<void> {
    for (std::uint32_t i = 0; i < vm.vcpu_count(); ++i) {
      auto done = step(i);
      if (!done) return std::move(done).error().in_device(fmt::format("cpu{}", i));
    }
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(
      each_vcpu([&](std::uint32_t i) { return restore_vcpu(vm.vcpu(i), state.vcpus[i], time); }));
  // The 8254 after the controllers: a tick of it that came before them would be overwritten.
  VMSNAP_RETURN_IF_ERROR(restore_i8259(vm, state.i8259));
  VMSNAP_RETURN_IF_ERROR(restore_ioapic(vm, state.ioapic));
  VMSNAP_RETURN_IF_ERROR(restore_i8254(vm, state.i8254));
  VMSNAP_RETURN_IF_ERROR(restore_clock(vm, time));
  VMSNAP_RETURN_IF_ERROR(
      each_vcpu([&](std::uint32_t i) { return restore_deadline(vm.vcpu(i), state.vcpus[i], time); }));
  VMSNAP_RETURN_IF_ERROR(each_vcpu([&](std::uint32_t i) { return vm.vcpu(i).kvmclock_ctrl(); }));
  return time;
}

}  // namespace vmsnap::vmm
