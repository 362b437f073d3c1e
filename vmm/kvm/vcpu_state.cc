// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/vcpu_state.h"

#include <fmt/format.h>

#include "kvm/kvm_api.h"
#include "kvm/msr_list.h"
#include "kvm/vcpu_convert.h"

namespace vmsnap::vmm {
namespace {

/// For KVM_GET_DEVICE_ATTR and KVM_SET_DEVICE_ATTR: the TSC offset, which goes to or comes from `offset`.
kvm_device_attr tsc_offset_attribute(std::uint64_t& offset) {
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<std::uintptr_t>(&offset);
  return attribute;
}

Result<std::uint64_t> read_tsc(const KvmVcpu& vcpu, std::uint64_t anchor) {
  const HostFacts& facts = vcpu.facts();
  if (facts.has_tsc_offset) {
    std::uint64_t offset = 0;
    kvm_device_attr attribute = tsc_offset_attribute(offset);
    VMSNAP_RETURN_IF_ERROR(
        vcpu.fd().call(KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR(TSC_OFFSET)", &attribute));
    return scale_tsc(anchor, facts) + offset;
  }
  const std::uint64_t host_now = vcpu.fd().calls()->host_tsc();
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t guest_now, read_msr(vcpu.fd(), kMsrTsc));
  return guest_now - scale_tsc(host_now - anchor, facts);
}

Result<void> write_tsc(const KvmVcpu& vcpu, std::uint64_t tsc, std::uint64_t anchor) {
  const HostFacts& facts = vcpu.facts();
  if (facts.has_tsc_offset) {
    std::uint64_t offset = tsc - scale_tsc(anchor, facts);
    kvm_device_attr attribute = tsc_offset_attribute(offset);
    VMSNAP_RETURN_IF_ERROR(
        vcpu.fd().call(KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR(TSC_OFFSET)", &attribute));
    return {};
  }
  const std::uint64_t now = tsc + scale_tsc(vcpu.fd().calls()->host_tsc() - anchor, facts);
  // To KVM a write of 0 means: as the other virtual CPUs.
  return write_msr(vcpu.fd(), kMsrTsc, now == 0 ? 1 : now);
}

}  // namespace

// MP_STATE first, because reading it lets a pending INIT or SIPI act on the registers; the deadline before
// the local APIC, so that a timer that fires in between is seen twice rather than not at all; events last.
Result<VcpuState> save_vcpu(const KvmVcpu& vcpu, std::uint64_t anchor) {
  const KvmFd& fd = vcpu.fd();
  const HostFacts& facts = vcpu.facts();
  VcpuParts parts;
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_MP_STATE, "KVM_GET_MP_STATE", &parts.run_state));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_REGS, "KVM_GET_REGS", &parts.regs));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_SREGS2, "KVM_GET_SREGS2", &parts.sregs));
  parts.xsave.resize(facts.xsave_size);
  if (facts.has_xsave2) {
    VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_XSAVE2, "KVM_GET_XSAVE2", parts.xsave.data()));
  } else {
    VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_XSAVE, "KVM_GET_XSAVE", parts.xsave.data()));
  }
  if (facts.guest_xcr0 != 0 && facts.has_xcrs) {
    kvm_xcrs xcrs{};
    VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_XCRS, "KVM_GET_XCRS", &xcrs));
    for (std::uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; ++i) {
      if (xcrs.xcrs[i].xcr != 0) continue;
      parts.has_xcr0 = true;
      parts.xcr0 = xcrs.xcrs[i].value;
    }
  }
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", &parts.debug));
  VMSNAP_ASSIGN_OR_RETURN(parts.tsc, read_tsc(vcpu, anchor));
  if (facts.has_tsc_deadline) {
    VMSNAP_ASSIGN_OR_RETURN(parts.tsc_deadline, read_msr(fd, kMsrTscDeadline));
  }
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_LAPIC, "KVM_GET_LAPIC", &parts.lapic));
  VMSNAP_ASSIGN_OR_RETURN(parts.msrs, read_msrs(fd, facts.msrs));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", &parts.events));
  return to_state(parts, vcpu.index(), facts);
}

PreparedVcpu::PreparedVcpu(std::unique_ptr<const VcpuParts> parts) : parts_(std::move(parts)) {}
PreparedVcpu::PreparedVcpu(PreparedVcpu&&) noexcept = default;
PreparedVcpu& PreparedVcpu::operator=(PreparedVcpu&&) noexcept = default;
PreparedVcpu::~PreparedVcpu() = default;

Result<PreparedVcpu> prepare_vcpu(const VcpuState& state, const HostFacts& facts) {
  VMSNAP_ASSIGN_OR_RETURN(VcpuParts parts, to_parts(state, facts));
  return PreparedVcpu(std::make_unique<const VcpuParts>(std::move(parts)));
}

// The CPUID and the TSC frequency were set when the virtual CPU was made. The reasons for the order are the
// edges of kvm.md 4.3.
Result<void> restore_vcpu(const KvmVcpu& vcpu, const PreparedVcpu& state, const RestoredTime& time) {
  const KvmFd& fd = vcpu.fd();
  // The calls take pointers to data that they do not change.
  VcpuParts parts = state.parts();
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_SREGS2, "KVM_SET_SREGS2", &parts.sregs));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_REGS, "KVM_SET_REGS", &parts.regs));
  if (parts.has_xcr0) {
    kvm_xcrs xcrs{};
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].value = parts.xcr0;
    VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_XCRS, "KVM_SET_XCRS", &xcrs));
  }
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_XSAVE, "KVM_SET_XSAVE", parts.xsave.data()));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_LAPIC, "KVM_SET_LAPIC", &parts.lapic));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_MP_STATE, "KVM_SET_MP_STATE", &parts.run_state));
  VMSNAP_RETURN_IF_ERROR(write_tsc(vcpu, parts.tsc + time.tsc_advance, time.host_tsc));
  VMSNAP_RETURN_IF_ERROR(write_msrs(fd, parts.msrs));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS", &parts.debug));
  VMSNAP_RETURN_IF_ERROR(fd.call(KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", &parts.events));
  return {};
}

Result<void> restore_deadline(const KvmVcpu& vcpu, const PreparedVcpu& state, const RestoredTime& time) {
  const std::uint64_t deadline = deadline_to_write(state.parts(), state.parts().tsc + time.tsc_advance);
  if (deadline == 0) return {};
  return write_msr(vcpu.fd(), kMsrTscDeadline, deadline);
}

}  // namespace vmsnap::vmm
