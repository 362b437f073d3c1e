// SPDX-License-Identifier: BSD-2-Clause
// The APIC page: registers of the local APIC at their architectural offsets (Intel SDM Vol. 3A, table 11-1).
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat::bhyve {

inline constexpr std::size_t kApicPageSize = 4096;

/// `page` has kApicPageSize bytes; apic_base of `lapic` must be set, since the mode says how to read the
/// page. Errors: Internal.
[[nodiscard]] Result<void> page_to_lapic(ByteView page, StateTree& lapic);
/// Errors: Corrupt when the state lacks a register.
[[nodiscard]] Result<ByteVector> lapic_to_page(const StateTree& lapic);

/// Vectors whose bit is set in a register of 8 words ("isr"), in rising order. Errors: Internal.
[[nodiscard]] Result<std::vector<std::uint8_t>> vectors_of(const StateTree& lapic, std::string_view field);

}  // namespace vmsnap::compat::bhyve
