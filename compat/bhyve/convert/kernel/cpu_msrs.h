// SPDX-License-Identifier: BSD-2-Clause
// The model-specific registers that are not carried over one by one: MTRRs, and those that x86_cpu has no
// field for.
#pragma once

#include <string_view>

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {

/// Does nothing where the layout has no MTRRs. `vcpu` is the beginning of the paths of the items. Errors:
/// Internal.
[[nodiscard]] Result<void> mtrrs_up(const SourceChunk& chunk, std::string_view vcpu, StateTree& cpu);
[[nodiscard]] Result<void> mtrrs_down(const StateTree& cpu, std::string_view vcpu, TargetChunk& chunk);

/// The last branch and the last exception of AMD: br_from, br_to, int_from, int_to. `record` is the beginning
/// of the paths of the items. Errors: Internal.
[[nodiscard]] Result<void> last_branch_up(const SourceChunk& chunk, std::string_view record, StateTree& cpu);
[[nodiscard]] Result<void> last_branch_down(const StateTree& cpu, std::string_view record, Values& values);

}  // namespace vmsnap::compat::bhyve
