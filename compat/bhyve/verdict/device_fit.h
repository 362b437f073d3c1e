// SPDX-License-Identifier: BSD-2-Clause
// In which shapes the chunk of a device can be read.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// One way to read the chunk.
struct Fit {
  Context context;             // with the counts that were found
  std::uint64_t trailing = 0;  // bytes after the last field
  unsigned implausible = 0;    // values that bhyve would not have written
};

/// What one axis says by one chunk.
struct AxisVote {
  Axis axis = Axis::kPciPrefix;
  bool fits_a = false;
  bool fits_b = false;
  std::string evidence;  // why not the other; empty when both fit
};

struct DeviceFits {
  std::vector<Fit> best;        // equally good; never empty
  std::vector<AxisVote> votes;  // of the axes that the layout knows
};

/// The axes on which the layout depends.
[[nodiscard]] std::vector<Axis> axes_of(const Layout& layout);

/// Sets one axis of the context.
void set_shape(Context& context, Axis axis, Shape shape);

/// Reads the chunk in every combination of shapes, but those in `fixed` only as `begin` has them. The best
/// are those with the fewest odd values, then the fewest bytes left over. Errors: that of the most plausible
/// combination when none can be read; Unsupported when all leave bytes over and odd values besides.
[[nodiscard]] Result<DeviceFits> fit_device(const Layout& layout, const Context& begin,
                                            const std::vector<Axis>& fixed, ByteView chunk);

}  // namespace vmsnap::compat::bhyve
