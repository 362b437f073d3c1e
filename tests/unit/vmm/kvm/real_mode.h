// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "kvm/kvm_api.h"
#include "kvm/vcpu.h"

namespace vmsnap::vmm::test {

/// Lets `vcpu` begin at `address` (below 64 KiB) in real mode with all segments at 0 and a stack below
/// 0x8000.
inline Result<void> start_real_mode(const KvmVcpu& vcpu, std::uint64_t address) {
  kvm_sregs2 sregs{};
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_GET_SREGS2, "KVM_GET_SREGS2", &sregs));
  for (kvm_segment* segment : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.ss}) {
    segment->base = 0;
    segment->selector = 0;
  }
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_SET_SREGS2, "KVM_SET_SREGS2", &sregs));
  kvm_regs regs{};
  regs.rip = address;
  regs.rsp = 0x8000;
  regs.rflags = 2;
  VMSNAP_RETURN_IF_ERROR(vcpu.fd().call(KVM_SET_REGS, "KVM_SET_REGS", &regs));
  return {};
}

}  // namespace vmsnap::vmm::test
