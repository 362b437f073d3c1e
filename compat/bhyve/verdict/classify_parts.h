// SPDX-License-Identifier: BSD-2-Clause
// The parts of classify(), in the order in which it takes them: what is concluded from the one part helps
// with the next.
#pragma once

#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {

/// More vCPUs no bhyve can have.
inline constexpr std::uint64_t kMostCpus = 1024;

/// Each adds axes to the verdict, and gives those entries a layout that it is about. Errors: those of
/// classify(). The verdict has its entries, and how many vCPUs there are; for devices also what was concluded
/// from the kernel's chunks.
[[nodiscard]] Result<void> classify_kernel(const LegacySet& set, const Assumptions& assumptions,
                                           Verdict& verdict);
[[nodiscard]] Result<void> classify_devices(const LegacySet& set, const Assumptions& assumptions,
                                            Verdict& verdict);

}  // namespace vmsnap::compat::bhyve
