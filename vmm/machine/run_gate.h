// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace vmsnap::vmm {

/// The gate through which every virtual CPU thread passes before it enters the guest. Closing it brings all
/// of them to a stop outside the guest; opening it lets them go on; dismissing them ends them for good.
/// Thread-safe. The gate begins closed.
class RunGate {
 public:
  /// `kick` makes every virtual CPU leave the guest soon, also one that is just about to enter it; called
  /// from close() and dismiss(). `threads` is the number of virtual CPU threads.
  RunGate(unsigned threads, std::function<void()> kick) : threads_(threads), kick_(std::move(kick)) {}

  /// For a virtual CPU thread, cheap: true when it has to go to pass() instead of into the guest.
  [[nodiscard]] bool is_shut() const { return shut_.load(std::memory_order_acquire); }

  /// For a virtual CPU thread, outside the guest and with nothing half done: waits while the gate is closed.
  /// False when the thread has been dismissed.
  [[nodiscard]] bool pass();

  /// Closes the gate and returns once every thread waits in pass() or has ended. Not for a virtual CPU
  /// thread.
  void close();
  /// Opens the gate.
  void open();
  /// Ends all threads: pass() returns false from now on.
  void dismiss();
  /// For a virtual CPU thread that ends by itself: close() waits for it no more.
  void leave();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> shut_{true};
  bool closed_ = true;
  bool dismissed_ = false;
  unsigned threads_;
  unsigned waiting_ = 0;
  std::function<void()> kick_;
};

}  // namespace vmsnap::vmm
