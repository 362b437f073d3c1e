// SPDX-License-Identifier: BSD-2-Clause
#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace vmsnap {
namespace {

/// Calls `run` in `count` threads, at least one: the caller's. When there are no more threads to be had,
/// those that there are do the work.
void run_in_threads(std::uint64_t count, const std::function<void()>& run) {
  std::vector<std::thread> helpers;
  for (std::uint64_t i = 1; i < count; ++i) {
    try {
      helpers.emplace_back(run);
    } catch (const std::system_error&) {
      break;
    }
  }
  run();
  for (std::thread& helper : helpers) helper.join();
}

/// The state that the threads of an ordered_pipeline() share.
class Pipeline {
 public:
  Pipeline(std::size_t slots, const PipelineSteps& steps) : steps_(steps), items_(slots) {}

  void run() {
    std::unique_lock lock(mutex_);
    while (!error_ && !(ended_ && head_ == next_)) {
      if (!consuming_ && head_ < next_ && item(head_).done) {
        consume(lock);
      } else if (!producing_ && !ended_ && next_ - head_ < items_.size()) {
        produce_and_work(lock);
      } else {
        changed_.wait(lock);
      }
    }
  }

  [[nodiscard]] Result<void> result() {
    if (error_) return std::move(*error_);
    return {};
  }

 private:
  struct Item {
    bool done = false;
    std::optional<Error> error;
  };

  Item& item(std::uint64_t number) { return items_[number % items_.size()]; }

  void produce_and_work(std::unique_lock<std::mutex>& lock) {
    const std::uint64_t number = next_;
    const std::size_t slot = number % items_.size();
    producing_ = true;
    lock.unlock();
    auto produced = steps_.produce(slot);
    lock.lock();
    producing_ = false;
    changed_.notify_all();
    if (!produced) {
      ++next_;
      finish(item(number), std::move(produced).error());
      return;
    }
    if (!*produced) {
      ended_ = true;
      return;
    }
    ++next_;
    item(number) = {};
    lock.unlock();
    auto worked = steps_.work(slot);
    lock.lock();
    changed_.notify_all();
    if (worked) {
      item(number).done = true;
    } else {
      finish(item(number), std::move(worked).error());
    }
  }

  /// An item that failed is the last that is consumed, so that none need be made after it.
  void finish(Item& item, Error error) {
    item.done = true;
    item.error = std::move(error);
    ended_ = true;
  }

  void consume(std::unique_lock<std::mutex>& lock) {
    const std::uint64_t number = head_;
    if (item(number).error) {
      error_ = std::move(item(number).error);
    } else {
      consuming_ = true;
      lock.unlock();
      auto consumed = steps_.consume(number % items_.size());
      lock.lock();
      consuming_ = false;
      ++head_;
      if (!consumed) error_ = std::move(consumed).error();
    }
    changed_.notify_all();
  }

  const PipelineSteps& steps_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
  std::uint64_t next_ = 0;  // item to be made
  std::uint64_t head_ = 0;  // item to be consumed
  bool producing_ = false;
  bool consuming_ = false;
  bool ended_ = false;  // no more items are made
  std::optional<Error> error_;
};

}  // namespace

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
  run_in_threads(std::min<std::uint64_t>(threads, ranges), run);
  if (error) return std::move(*error);
  return {};
}

Result<void> ordered_pipeline(unsigned threads, std::size_t slots, const PipelineSteps& steps) {
  Pipeline pipeline(slots, steps);
  run_in_threads(threads, [&] { pipeline.run(); });
  return pipeline.result();
}

}  // namespace vmsnap
