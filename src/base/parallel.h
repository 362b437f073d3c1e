// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"

namespace vmsnap {

/// Calls `work(first, last)` for ranges that together are [0, count), each of `grain` indexes or fewer, from
/// up to `threads` threads (the caller's is one of them). `make_worker` is called once in each thread and
/// returns its `work`, so that a thread can keep something of its own. Returns when all is done. When calls
/// fail, no further ranges are begun and the error of the lowest range is returned.
[[nodiscard]] Result<void> parallel_for(
    std::uint64_t count, std::uint64_t grain, unsigned threads,
    const std::function<std::function<Result<void>(std::uint64_t first, std::uint64_t last)>()>& make_worker);

}  // namespace vmsnap
