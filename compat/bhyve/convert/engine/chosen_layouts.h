// SPDX-License-Identifier: BSD-2-Clause
// By which layout each chunk of a legacy snapshot is converted.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bhyve/layout/layout.h"
#include "bhyve/set/legacy_set.h"
#include "bhyve/verdict/verdict.h"

namespace vmsnap::compat::bhyve {

/// An entry of the .meta file and how its chunk is laid out.
struct ChosenLayout {
  const MetaEntry* entry = nullptr;  // of the set; never null
  bool is_kernel = false;
  /// nullptr for a chunk without bytes, and for one that is kept as it is.
  const Layout* layout = nullptr;
  Context context;      // with the counts that hold for this chunk
  std::string why_not;  // there are bytes, and no layout; printable
};

struct ChosenLayouts {
  Vendor vendor = Vendor::kIntel;
  std::uint32_t vcpus = 0;
  Context context;                    // of all chunks together; file_offset means nothing
  std::vector<ChosenLayout> entries;  // the kernel's, then the devices', in the order of the file
};

/// What of a verdict on `set` a conversion can use. Borrows the set. Errors: Unsupported, naming the chunk of
/// the kernel that a guest cannot do without.
[[nodiscard]] Result<ChosenLayouts> choose_layouts(const LegacySet& set, const Verdict& verdict);

}  // namespace vmsnap::compat::bhyve
