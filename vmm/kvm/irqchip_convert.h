// SPDX-License-Identifier: BSD-2-Clause
// The interrupt controllers and the timer in KVM's structures, and to and from the terms of the schemas.
// Pure.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "i8254_generated.h"
#include "i8259_generated.h"
#include "ioapic_generated.h"
#include "kvm/kvm_api.h"

namespace vmsnap::vmm {

/// Bits of the ELCR that exist: IRQ 0, 1, 2, 8 and 13 are edge-triggered for good (82371SB, 2.5).
inline constexpr std::uint8_t kElcrPrimary = 0xf8;
inline constexpr std::uint8_t kElcrSecondary = 0xde;

/// Errors: Unsupported when the initialisation sequence is at a step that does not exist.
[[nodiscard]] Result<schema::I8259ChipT> i8259_from_kvm(const kvm_pic_state& in);
[[nodiscard]] kvm_pic_state i8259_to_kvm(const schema::I8259ChipT& in, std::uint8_t elcr_mask);

[[nodiscard]] schema::IoapicT ioapic_from_kvm(const kvm_ioapic_state& in);
/// `in` has as many pins as KVM's (check_ioapic()).
[[nodiscard]] kvm_ioapic_state ioapic_to_kvm(const schema::IoapicT& in);

/// `now` is the host's CLOCK_MONOTONIC in ns, in which KVM states when a counter was loaded.
[[nodiscard]] schema::I8254T i8254_from_kvm(const kvm_pit_state2& in, std::int64_t now);
[[nodiscard]] kvm_pit_state2 i8254_to_kvm(const schema::I8254T& in, std::int64_t now);

}  // namespace vmsnap::vmm
