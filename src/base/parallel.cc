// SPDX-License-Identifier: BSD-2-Clause
#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace vmsnap {

Result<void> parallel_for(
    std::uint64_t count, std::uint64_t grain, unsigned threads,
    const std::function<std::function<Result<void>(std::uint64_t, std::uint64_t)>()>& make_worker) {
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::optional<Error> error;
  std::uint64_t error_at = 0;
  const auto run = [&] {
    const auto work = make_worker();
    // Ranges are handed out in order, and one that was handed out is finished: so the lowest range that fails
    // is the same in every run.
    while (!failed.load(std::memory_order_relaxed)) {
      const std::uint64_t first = next.fetch_add(grain);
      if (first >= count) return;
      auto result = work(first, std::min(count, first + grain));
      if (result) continue;
      failed.store(true, std::memory_order_relaxed);
      const std::lock_guard lock(mutex);
      if (!error || first < error_at) {
        error = std::move(result).error();
        error_at = first;
      }
    }
  };
  const std::uint64_t ranges = (count + grain - 1) / grain;
  std::vector<std::thread> helpers;
  for (std::uint64_t i = 1; i < std::min<std::uint64_t>(threads, ranges); ++i) {
    try {
      helpers.emplace_back(run);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: those that there are do the work
    }
  }
  run();
  for (std::thread& helper : helpers) helper.join();
  if (error) return std::move(*error);
  return {};
}

}  // namespace vmsnap
