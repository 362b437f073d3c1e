// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio/queue_worker.h"

#include <system_error>

namespace vmsnap::vmm {

Result<std::unique_ptr<QueueWorker>> QueueWorker::start(std::function<void()> work) {
  std::unique_ptr<QueueWorker> worker(new QueueWorker(std::move(work)));
  try {
    worker->thread_ = std::thread([raw = worker.get()] { raw->run(); });
  } catch (const std::system_error& error) {
    return io_error("cannot start a thread for a virtqueue", error.code().value());
  }
  return worker;
}

void QueueWorker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    parked_.store(true, std::memory_order_relaxed);  // cuts a long run short
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void QueueWorker::kick() {
  {
    const std::lock_guard lock(mutex_);
    kicked_ = true;
  }
  wake_.notify_all();
}

void QueueWorker::park() {
  std::unique_lock lock(mutex_);
  parked_.store(true, std::memory_order_relaxed);
  idle_.wait(lock, [this] { return !busy_; });
}

void QueueWorker::unpark() {
  {
    const std::lock_guard lock(mutex_);
    parked_.store(false, std::memory_order_relaxed);
    kicked_ = true;
  }
  wake_.notify_all();
}

void QueueWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || (kicked_ && !parked_.load(std::memory_order_relaxed)); });
    if (stop_) return;
    kicked_ = false;
    busy_ = true;
    lock.unlock();
    work_();
    lock.lock();
    busy_ = false;
    idle_.notify_all();
  }
}

}  // namespace vmsnap::vmm
