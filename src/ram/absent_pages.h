// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace vmsnap {

/// Tells which private anonymous pages of this process were never touched and therefore are zero, from
/// /proc/self/pagemap (kernel: Documentation/admin-guide/mm/pagemap.rst). Where that cannot be read, no page
/// is called absent. Not thread-safe.
class AbsentPages {
 public:
  AbsentPages();

  /// True when no page of `range` (page-aligned) has ever been populated. Asks the kernel about a window of
  /// up to `window_end`, so that rising ranges cost few calls.
  [[nodiscard]] bool all_absent(ByteView range, const std::byte* window_end);

 private:
  [[nodiscard]] bool load(std::uint64_t first_page, std::uint64_t end_page);

  UniqueFd pagemap_;
  std::uint64_t first_page_ = 0;
  std::vector<std::uint64_t> entries_;
};

}  // namespace vmsnap
