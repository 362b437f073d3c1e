// SPDX-License-Identifier: BSD-2-Clause
// Layouts that have a record for each vCPU, told apart by the size of the record.
#pragma once

#include <cstdint>
#include <string>

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// The generations A and A2 store so many records, whatever the machine has.
inline constexpr std::uint64_t kFixedRecords = 16;

/// Whether the layout has kFixedRecords records.
[[nodiscard]] bool has_fixed_records(const Layout& layout);

/// Whether the general registers and MSRs are in the chunk vmx, and not in vmcx of this layout.
[[nodiscard]] bool registers_are_in_vmx(const Layout& vmcx);

/// "intel-664": whose host writes the layout, and the bytes of a record.
[[nodiscard]] std::string record_shape(const Layout& layout);

}  // namespace vmsnap::compat::bhyve
