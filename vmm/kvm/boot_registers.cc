// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/boot_registers.h"

#include "kvm/kvm_api.h"

namespace vmsnap::vmm {
namespace {

kvm_segment segment(const BootSegment& from) {
  kvm_segment to{};
  to.selector = from.selector;
  to.base = from.base;
  to.limit = from.limit;
  to.type = from.type;
  to.s = from.code_or_data ? 1 : 0;
  to.present = 1;
  to.l = from.is_64bit ? 1 : 0;
  to.db = from.default_32bit ? 1 : 0;
  to.g = from.page_granularity ? 1 : 0;
  return to;
}

}  // namespace

Result<void> set_boot_registers(const KvmVcpu& vcpu, const BootState& state) {
  kvm_sregs sregs{};
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_GET_SREGS, "KVM_GET_SREGS", &sregs));
  sregs.cs = segment(state.code);
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment(state.data);
  sregs.tr = segment(state.task);
  sregs.gdt.base = state.gdt_base.value();
  sregs.gdt.limit = state.gdt_limit;
  sregs.idt.base = 0;
  sregs.idt.limit = state.idt_limit;
  sregs.cr0 = state.cr0;
  sregs.cr3 = state.cr3;
  sregs.cr4 = state.cr4;
  sregs.efer = state.efer;
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_SET_SREGS, "KVM_SET_SREGS", &sregs));

  kvm_regs regs{};
  regs.rip = state.rip;
  regs.rsp = state.rsp;
  regs.rsi = state.rsi;
  regs.rbx = state.rbx;
  regs.rflags = state.rflags;
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_SET_REGS, "KVM_SET_REGS", &regs));
  return {};
}

}  // namespace vmsnap::vmm
