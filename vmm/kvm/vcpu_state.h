// SPDX-License-Identifier: BSD-2-Clause
// The state of one virtual CPU, out of KVM and into it. All virtual CPUs of the VM are stopped and have
// nothing pending (KvmVcpu::complete_pending_io()).
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kvm/clock_state.h"
#include "kvm/host_facts.h"
#include "kvm/vcpu.h"
#include "lapic_generated.h"
#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

struct VcpuParts;  // the same in KVM's own structures (vcpu_convert.h)

struct VcpuState {
  schema::X86CpuT cpu;
  schema::LapicT lapic;
};

/// `anchor` is the host's TSC to which the saved TSC belongs (ClockSnapshot::host_tsc), the same for all
/// virtual CPUs: their TSCs stay in step although they are read one after the other. Errors: Io, naming the
/// call or the MSR; Unsupported when the virtual CPU is in a state that a snapshot does not carry.
[[nodiscard]] Result<VcpuState> save_vcpu(const KvmVcpu& vcpu, std::uint64_t anchor);

/// A state that has been checked against a host and converted, ready to be set. Move-only.
class PreparedVcpu {
 public:
  explicit PreparedVcpu(std::unique_ptr<const VcpuParts> parts);
  PreparedVcpu(PreparedVcpu&&) noexcept;
  PreparedVcpu& operator=(PreparedVcpu&&) noexcept;
  ~PreparedVcpu();

  [[nodiscard]] const VcpuParts& parts() const { return *parts_; }

 private:
  std::unique_ptr<const VcpuParts> parts_;
};

/// Checks everything that can be known without setting it: XCR0 and XSAVE components, MSRs, events and
/// timer against `facts`. `state` has passed unpack_x86_cpu() and unpack_lapic(). Pure. Errors: Unsupported,
/// Corrupt, with the field.
[[nodiscard]] Result<PreparedVcpu> prepare_vcpu(const VcpuState& state, const HostFacts& facts);

/// Sets everything but the TSC deadline, in the order of kvm.md 4.3. Any error means that the VM must not
/// run. Errors: Io, naming the call or the MSR.
[[nodiscard]] Result<void> restore_vcpu(const KvmVcpu& vcpu, const PreparedVcpu& state,
                                        const RestoredTime& time);

/// Arms the TSC deadline: after restore_vcpu() of all virtual CPUs and restore_clock(). Errors: Io.
[[nodiscard]] Result<void> restore_deadline(const KvmVcpu& vcpu, const PreparedVcpu& state,
                                            const RestoredTime& time);

}  // namespace vmsnap::vmm
