// SPDX-License-Identifier: BSD-2-Clause
// Where two states say different things, whatever versions of their schemas they are of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/state_tree.h"

namespace vmsnap::snaptool {

/// One field that differs. Printable text; empty on the side that does not have the field.
struct Difference {
  std::string path;  // "virtio.queues[0].next_used"
  std::string left;
  std::string right;
};

struct TreeDiff {
  std::vector<Difference> differences;  // in the order of the fields, at most as many as were asked for
  std::uint64_t count = 0;              // of all
};

/// Compares by name, elements of lists by position. A field that only one schema has differs unless it holds
/// its default. Fields of the root called `without` are left out. At most `most` differences are kept.
[[nodiscard]] TreeDiff compare(const compat::StateTree& left, const compat::StateTree& right,
                               std::string_view without = {}, std::size_t most = 1000);

}  // namespace vmsnap::snaptool
