// SPDX-License-Identifier: BSD-2-Clause
// Registers of a vCPU, each under every name that some shape of vmx or vmcx has for it: a layout takes the
// names that it knows.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {

/// General, control and debug registers but those below, and the model-specific ones.
[[nodiscard]] std::span<const Row> plain_registers();
/// CR4 and EFER, with the bit that the host's own virtualisation puts there and the guest must not see.
[[nodiscard]] std::span<const Row> host_touched_registers(Vendor vendor);
/// What AMD A stores in vmx and again in vmcx, under the names of vmx.
[[nodiscard]] std::span<const Row> repeated_save_area_registers();
/// What AMD A stores in the save area of vmx alone.
[[nodiscard]] std::span<const Row> own_save_area_registers();

/// ES to LDTR, IDTR and GDTR. Errors: Internal.
[[nodiscard]] Result<void> segments_up(const SourceChunk& chunk, std::string_view vcpu, StateTree& cpu);
[[nodiscard]] Result<void> segments_down(const StateTree& cpu, std::string_view vcpu, TargetChunk& chunk);

/// The privilege level of the CPU, which that of SS is.
[[nodiscard]] Result<std::uint64_t> cpl_of(const StateTree& cpu);

}  // namespace vmsnap::compat::bhyve
