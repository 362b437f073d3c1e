// SPDX-License-Identifier: BSD-2-Clause
// What KVM reports of a Linux guest in the middle of its work: the values of a real one, rounded.
#pragma once

#include "kvm/irqchip_convert.h"
#include "kvm/vcpu_convert.h"

namespace vmsnap::vmm::test {

/// A host with every capability, and a guest with AVX, AVX-512 and PKRU.
HostFacts sample_facts();

/// Virtual CPU 1 in 64-bit mode, xAPIC, timer in TSC-deadline mode, a page fault pending.
VcpuParts sample_parts();

kvm_pic_state sample_pic_primary();
kvm_pic_state sample_pic_secondary();
kvm_ioapic_state sample_ioapic();
/// Counter 0 as Linux leaves it, counter 1 never programmed, counter 2 half read and with a latched status.
kvm_pit_state2 sample_pit(std::int64_t now);

/// All eight registers of a component at 0x10 * i, so that a mixed-up offset shows.
void put_lapic(kvm_lapic_state& page, std::size_t offset, std::uint32_t value);

/// put_msrs() of a list.
void put(schema::X86CpuT& cpu, const std::vector<schema::Msr>& msrs);

}  // namespace vmsnap::vmm::test
