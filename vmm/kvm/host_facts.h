// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <vector>

namespace vmsnap::vmm {

/// What was found out about the host's KVM, and decided about the guest's CPU, when the VM was made. A plain
/// value: checks of a saved state against a host need this and no KVM.
struct HostFacts {
  std::uint32_t xsave_size = 4096;      // bytes that KVM_GET_XSAVE2 and KVM_SET_XSAVE move
  bool has_xsave2 = false;              // KVM_GET_XSAVE2 exists
  bool has_xcrs = false;                // KVM_GET_XCRS and KVM_SET_XCRS exist
  bool has_triple_fault_event = false;  // a pending triple fault can be read and set
  bool has_smm = false;                 // system-management mode is emulated
  bool has_tsc_offset = false;          // the TSC offset of a virtual CPU can be read and set
  bool has_tsc_scaling = false;         // virtual CPUs may have another TSC frequency than the host
  bool has_tsc_deadline = false;        // the local APIC's timer has the TSC-deadline mode
  std::uint64_t host_tsc_khz = 0;       // 0: not known
  std::uint64_t guest_tsc_khz = 0;      // of the virtual CPUs; 0: not known
  std::uint64_t guest_xcr0 = 0;         // bits the guest's CPUID allows in XCR0; 0: the guest has no XSAVE
  std::uint32_t vcpu_count = 0;
  std::vector<std::uint32_t> msrs;  // those read and written in a save and restore, in rising order
  /// MSRs that the kernel lists and that cannot be read, or not be written with what was read; in rising
  /// order.
  std::vector<std::uint32_t> refused_msrs;
};

}  // namespace vmsnap::vmm
