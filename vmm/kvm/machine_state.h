// SPDX-License-Identifier: BSD-2-Clause
// Everything that KVM knows about a machine, saved and restored as one: the order of the calls is here and
// nowhere else.
#pragma once

#include <vector>

#include "base/result.h"
#include "kvm/clock_state.h"
#include "kvm/irqchip_state.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm.h"

namespace vmsnap::vmm {

/// The state that KVM holds; each member is the content of one chunk (of two, for a virtual CPU).
struct KvmState {
  std::vector<VcpuState> vcpus;  // in order of index
  schema::I8259T i8259;
  schema::IoapicT ioapic;
  schema::I8254T i8254;
  schema::KvmClockT clock;
};

/// Order: every virtual CPU is stopped with nothing pending, every device is quiesced, then this, then
/// guest memory. Errors: Io, Unsupported.
[[nodiscard]] Result<KvmState> save_kvm_state(const KvmVm& vm);

/// A checked and converted KvmState. Move-only.
struct PreparedKvmState {
  std::vector<PreparedVcpu> vcpus;
  schema::I8259T i8259;
  schema::IoapicT ioapic;
  schema::I8254T i8254;
  schema::KvmClockT clock;
};

/// Checks the whole state against `facts` (KvmVm::facts()) before any of it is set. Pure. Errors:
/// Unsupported, Corrupt (a missing or doubled virtual CPU, say), with device and field.
[[nodiscard]] Result<PreparedKvmState> prepare_restore(const KvmState& state, const HostFacts& facts);

/// Sets everything, on a fresh VM whose memory is in place and whose GSI routing is set: virtual CPUs, PIC
/// pair, I/O APIC, 8254, clock, TSC deadlines, and the guest-was-paused flag. Afterwards the devices may be
/// restored and resumed, then the virtual CPUs may run. Returns what the policy came to, for clocks outside
/// KVM. Any error means that the VM must not run. Errors: Io.
[[nodiscard]] Result<RestoredTime> apply_restore(const KvmVm& vm, const PreparedKvmState& state,
                                                 TimePolicy policy);

}  // namespace vmsnap::vmm
