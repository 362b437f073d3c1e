// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/result.h"

namespace vmsnap {

/// How a long pass over guest memory is done.
struct PassOptions {
  unsigned threads = 1;
  /// Called, perhaps from several threads at once, with the number of bytes of the segment that another step
  /// has done.
  std::function<void(std::uint64_t)> progress = {};
  /// When it becomes true the pass ends with InvalidState. Null: the pass cannot be cancelled.
  const std::atomic<bool>* cancelled = nullptr;
};

/// Errors: InvalidState (the pass was cancelled).
[[nodiscard]] inline Result<void> check_cancelled(const PassOptions& options) {
  if (options.cancelled == nullptr || !options.cancelled->load(std::memory_order_relaxed)) return {};
  return Error(ErrorKind::kInvalidState, "it was cancelled");
}

}  // namespace vmsnap
