// SPDX-License-Identifier: BSD-2-Clause
#include "machine/run_gate.h"

namespace vmsnap::vmm {

bool RunGate::pass() {
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !closed_ || dismissed_; });
  --waiting_;
  return !dismissed_;
}

void RunGate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  shut_.store(true, std::memory_order_release);
  kick_();
  changed_.wait(lock, [this] { return waiting_ == threads_; });
}

void RunGate::open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  if (!dismissed_) shut_.store(false, std::memory_order_release);
  changed_.notify_all();
}

void RunGate::dismiss() {
  const std::lock_guard lock(mutex_);
  dismissed_ = true;
  shut_.store(true, std::memory_order_release);
  kick_();
  changed_.notify_all();
}

void RunGate::leave() {
  const std::lock_guard lock(mutex_);
  --threads_;
  changed_.notify_all();
}

}  // namespace vmsnap::vmm
