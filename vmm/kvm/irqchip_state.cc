// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/irqchip_state.h"

#include <fmt/format.h>

#include "core/state_buffer.h"
#include "kvm/host_clock.h"
#include "kvm/irqchip_convert.h"
#include "kvm/kvm_api.h"
#include "kvm/vm.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kIoApicAddress = 0xfec00000;

Result<kvm_irqchip> get_chip(const KvmVm& vm, std::uint32_t id) {
  kvm_irqchip chip{};
  chip.chip_id = id;
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP", &chip));
  return chip;
}

Result<void> set_pic(const KvmVm& vm, std::uint32_t id, const schema::I8259ChipT& state,
                     std::uint8_t elcr_mask) {
  kvm_irqchip chip{};
  chip.chip_id = id;
  chip.chip.pic = i8259_to_kvm(state, elcr_mask);
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP of an 8259", &chip));
  return {};
}

}  // namespace

Result<schema::I8259T> save_i8259(const KvmVm& vm) {
  VMSNAP_ASSIGN_OR_RETURN(const kvm_irqchip primary, get_chip(vm, KVM_IRQCHIP_PIC_MASTER));
  VMSNAP_ASSIGN_OR_RETURN(const kvm_irqchip secondary, get_chip(vm, KVM_IRQCHIP_PIC_SLAVE));
  schema::I8259T state;
  VMSNAP_ASSIGN_OR_RETURN(schema::I8259ChipT first, i8259_from_kvm(primary.chip.pic));
  VMSNAP_ASSIGN_OR_RETURN(schema::I8259ChipT second, i8259_from_kvm(secondary.chip.pic));
  state.primary = std::make_unique<schema::I8259ChipT>(first);
  state.secondary = std::make_unique<schema::I8259ChipT>(second);
  return state;
}

Result<schema::IoapicT> save_ioapic(const KvmVm& vm) {
  VMSNAP_ASSIGN_OR_RETURN(const kvm_irqchip chip, get_chip(vm, KVM_IRQCHIP_IOAPIC));
  return ioapic_from_kvm(chip.chip.ioapic);
}

Result<schema::I8254T> save_i8254(const KvmVm& vm) {
  kvm_pit_state2 pit{};
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_GET_PIT2, "KVM_GET_PIT2", &pit));
  return i8254_from_kvm(pit, host_monotonic_ns());
}

Result<void> check_ioapic(const schema::IoapicT& state) {
  if (state.redirection_table.size() != KVM_IOAPIC_NUM_PINS) {
    return unsupported_field("redirection_table",
                             fmt::format("the I/O APIC has {} pins; KVM's has {}",
                                         state.redirection_table.size(), KVM_IOAPIC_NUM_PINS));
  }
  if (state.base != kIoApicAddress) {
    return unsupported_field(
        "base", fmt::format("the I/O APIC is at {:#x}; KVM's is at {:#x} only", state.base, kIoApicAddress));
  }
  return {};
}

Result<void> restore_i8259(const KvmVm& vm, const schema::I8259T& state) {
  VMSNAP_RETURN_IF_ERROR(set_pic(vm, KVM_IRQCHIP_PIC_MASTER, *state.primary, kElcrPrimary));
  return set_pic(vm, KVM_IRQCHIP_PIC_SLAVE, *state.secondary, kElcrSecondary);
}

Result<void> restore_ioapic(const KvmVm& vm, const schema::IoapicT& state) {
  VMSNAP_RETURN_IF_ERROR(check_ioapic(state));
  kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  chip.chip.ioapic = ioapic_to_kvm(state);
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP of the I/O APIC", &chip));
  return {};
}

Result<void> restore_i8254(const KvmVm& vm, const schema::I8254T& state) {
  kvm_pit_state2 pit = i8254_to_kvm(state, host_monotonic_ns());
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_SET_PIT2, "KVM_SET_PIT2", &pit));
  return {};
}

}  // namespace vmsnap::vmm
