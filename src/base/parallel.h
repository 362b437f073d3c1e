// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
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

/// What ordered_pipeline() does with each item; the argument is the slot that the item is kept in.
struct PipelineSteps {
  std::function<Result<bool>(std::size_t slot)> produce;  // makes the next item; false: there is none
  std::function<Result<void>(std::size_t slot)> work;
  std::function<Result<void>(std::size_t slot)> consume;
};

/// Makes items, works on them and consumes them, from up to `threads` threads (the caller's is one of them).
/// Items are made one at a time, and consumed one at a time in the order in which they were made; work() runs
/// at the same time for different items. No more than `slots` (at least 1) items exist at once. Returns when
/// all is done, or with the error of the first item, in that order, that has one: the items before it have
/// been consumed, none after it.
[[nodiscard]] Result<void> ordered_pipeline(unsigned threads, std::size_t slots, const PipelineSteps& steps);

}  // namespace vmsnap
