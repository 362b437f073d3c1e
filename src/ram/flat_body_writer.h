// SPDX-License-Identifier: BSD-2-Clause
// A memory segment on its way to a file in which it lies as it does in memory.
#pragma once

#include <functional>

#include "base/file.h"
#include "base/result.h"
#include "ram/extent_source.h"
#include "ram/pass_options.h"

namespace vmsnap {

/// Writes the extents that `source` has to `body`, where the segment begins and all that was not written by
/// an earlier call for it is a hole: pages that are not all zero by pwrite(2) in runs of up to 1 MiB, those
/// of memory straight from where they are; all-zero pages stay holes. Where `source` has an original whose
/// disk space the file can share, it does so first, and only altered extents are written, but every extent is
/// looked at all the same; zero pages and holes are then those of the original.
///
/// With more than one thread in `options`, a second one looks at extents while others are written.
/// `on_extent`, if given, is called with each extent in order, in one thread at a time. The file's size must
/// include the segment. Errors: Io; InvalidState (cancelled); those of the source.
[[nodiscard]] Result<void> write_flat_body(const FilePlace& body, ExtentSource& source,
                                           const PassOptions& options,
                                           const std::function<void(const Extent&)>& on_extent = {});

}  // namespace vmsnap
