// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

namespace vmsnap {

/// What was written of a segment.
struct WrittenRam {
  std::uint64_t data_bytes = 0;  // of pages that are not all zero
  /// Bytes that stand for them in the file, without what a flat body leaves out: less than data_bytes when
  /// something is compressed or there more than once.
  std::uint64_t stored_bytes = 0;
};

}  // namespace vmsnap
