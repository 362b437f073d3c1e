// SPDX-License-Identifier: BSD-2-Clause
// One virtual CPU in KVM's structures, and to and from the terms of the schemas. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "kvm/host_facts.h"
#include "kvm/kvm_api.h"
#include "kvm/vcpu_state.h"

namespace vmsnap::vmm {

struct VcpuParts {
  kvm_mp_state run_state{};
  kvm_regs regs{};
  kvm_sregs2 sregs{};
  ByteVector xsave;  // standard format, of HostFacts::xsave_size bytes
  bool has_xcr0 = false;
  std::uint64_t xcr0 = 0;
  kvm_debugregs debug{};
  kvm_lapic_state lapic{};
  kvm_vcpu_events events{};
  std::vector<schema::Msr> msrs;  // in rising order of index
  std::uint64_t tsc = 0;
  std::uint64_t tsc_deadline = 0;
};

/// Errors: Unsupported for states without words in the schema.
[[nodiscard]] Result<VcpuState> to_state(const VcpuParts& parts, std::uint32_t index, const HostFacts& facts);

/// `state` has passed the checks of state_codec.h. Errors: Unsupported when `facts`' host or guest cannot
/// have it, Corrupt when it contradicts the guest's CPU profile; with the field.
[[nodiscard]] Result<VcpuParts> to_parts(const VcpuState& state, const HostFacts& facts);

/// What to write to IA32_TSC_DEADLINE, or 0 for nothing. `now` is the guest's TSC. A timer in TSC-deadline
/// mode with deadline 0 is either disarmed or has fired without its interrupt being in IRR or ISR yet (kvm.md
/// 4.2.6): it is armed for now, because a tick too many does no harm and a lost one stops the guest.
[[nodiscard]] std::uint64_t deadline_to_write(const VcpuParts& parts, std::uint64_t now);

/// The local APIC's register page and back; `apic_base` decides the layout of the ID.
[[nodiscard]] schema::LapicT lapic_from_kvm(const kvm_lapic_state& page, std::uint64_t apic_base,
                                            std::uint64_t tsc_deadline);
[[nodiscard]] kvm_lapic_state lapic_to_kvm(const schema::LapicT& state);

}  // namespace vmsnap::vmm
