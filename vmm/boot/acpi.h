// SPDX-License-Identifier: BSD-2-Clause
// The ACPI tables: how the guest learns what platform.h says.
#pragma once

#include <cstdint>

#include "base/gpa.h"
#include "base/result.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm {

/// The local APIC entries of the MADT hold 8-bit identifiers, of which 255 means "all".
inline constexpr std::uint32_t kMaxAcpiVcpus = 255;

/// What the tables tell beyond platform.h.
struct AcpiOptions {
  bool general_purpose_events = true;
};

/// Writes RSDP, XSDT, FADT, FACS, MADT and DSDT for a machine with `vcpu_count` virtual CPUs whose local
/// APIC identifiers are 0 to vcpu_count - 1, at platform::kAcpiTablesBase. Call before any vCPU runs and
/// again after a reset. Returns the address of the RSDP. Errors: Usage when vcpu_count is 0 or above
/// kMaxAcpiVcpus, or the guest has no memory there.
[[nodiscard]] Result<Gpa> write_acpi_tables(const GuestMemory& memory, std::uint32_t vcpu_count,
                                            const AcpiOptions& options = {});

}  // namespace vmsnap::vmm
