// SPDX-License-Identifier: BSD-2-Clause
// What the chunks with one record per vCPU (vm, vmx, vmcx, vlapic) have in common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {

[[nodiscard]] std::string cpu_path(std::uint32_t index);
[[nodiscard]] std::string lapic_path(std::uint32_t index);
/// Beginning of the paths of the items of a vCPU: "vcpu[1].".
[[nodiscard]] std::string vcpu_prefix(std::uint32_t index);

/// The state of a CPU, or of its local APIC; where there is none it is made, with the initial x87, SSE and AVX
/// state, and complete enough to be stored whatever the file lacks. Errors: those of Machine::device().
[[nodiscard]] Result<StateTree*> cpu_of(Machine& machine, std::uint32_t index);
[[nodiscard]] Result<StateTree*> lapic_of(Machine& machine, std::uint32_t index);

/// Corrupt when the chunk has no record of some vCPU of the machine.
[[nodiscard]] Result<void> need_records(const SourceChunk& chunk, const Machine& machine);
/// Unsupported when the layout has room for fewer vCPUs than the machine has.
[[nodiscard]] Result<void> need_room(const Machine& machine, const TargetChunk& chunk);

/// Mode of the local APIC, from its apic_base.
[[nodiscard]] Result<bool> is_x2apic(const StateTree& lapic);

}  // namespace vmsnap::compat::bhyve
