// SPDX-License-Identifier: BSD-2-Clause
// What is known to go wrong with the snapshots of each generation.
#pragma once

#include <string_view>
#include <vector>

#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {

struct KnownBug {
  std::string_view name;      // stable, lower-case
  std::string_view sentence;  // without a full stop
};

/// Those that apply to the set, by its generation (of a mixed form, the nearest), vendor and devices.
[[nodiscard]] std::vector<KnownBug> known_bugs(const Verdict& verdict);

}  // namespace vmsnap::compat::bhyve
