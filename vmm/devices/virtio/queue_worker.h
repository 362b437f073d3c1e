// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace vmsnap::vmm {

/// A thread that runs `work` once after every kick (kicks that come while it runs are one more run), and can
/// be parked: then nothing runs, and a kick is kept. Thread-safe.
class QueueWorker {
 public:
  /// Errors: Io when there is no thread to be had.
  [[nodiscard]] static Result<std::unique_ptr<QueueWorker>> start(std::function<void()> work);
  QueueWorker(const QueueWorker&) = delete;
  QueueWorker& operator=(const QueueWorker&) = delete;
  ~QueueWorker() { stop(); }

  /// Ends the thread after the present run of `work`; nothing runs any more. An owner whose `work` uses the
  /// worker calls this before it lets go of it.
  void stop();

  void kick();
  /// Returns when `work` is not running and will not be until unpark(). Not from inside `work`.
  void park();
  /// Goes on, with one run in case a kick was lost or work was left.
  void unpark();
  /// `work` looks here between requests and returns early when it is true.
  [[nodiscard]] bool park_requested() const { return parked_.load(std::memory_order_relaxed); }

 private:
  explicit QueueWorker(std::function<void()> work) : work_(std::move(work)) {}
  void run();

  const std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  bool kicked_ = false;
  bool busy_ = false;
  bool stop_ = false;
  std::atomic<bool> parked_{false};  // written with mutex_ held
  std::thread thread_;
};

}  // namespace vmsnap::vmm
