// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "devices/uart16550/uart16550.h"

namespace vmsnap::vmm {

/// The far end of the guest's console: a descriptor of the host. A reader that is slow makes the guest's
/// transmitter wait, but no virtual CPU; what is for a reader that has gone away is dropped, so that the
/// guest goes on.
class ConsoleOutput : public CharacterSink {
 public:
  /// `fd` stays the caller's and must outlive it. Errors: Io.
  [[nodiscard]] static Result<std::unique_ptr<ConsoleOutput>> open(int fd);

  /// Takes of `bytes` (at most 4096) what `fd` has room for. Thread-safe.
  [[nodiscard]] std::size_t write(ByteView bytes) override;

  /// Calls a function from a thread of its own each time there is room again after write() did not take
  /// everything. At most one at a time.
  class Watch {
   public:
    /// `output` must outlive it. Errors: Io.
    [[nodiscard]] static Result<std::unique_ptr<Watch>> start(const ConsoleOutput& output,
                                                              std::function<void()> room);
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    /// The function is not called any more afterwards.
    ~Watch();

   private:
    Watch(const ConsoleOutput& output, std::function<void()> room)
        : output_(output), room_(std::move(room)) {}
    void run();

    const ConsoleOutput& output_;
    const std::function<void()> room_;
    UniqueFd stop_;
    std::thread thread_;
  };

 private:
  ConsoleOutput(int fd, UniqueFd refused) : fd_(fd), refused_(std::move(refused)) {}

  const int fd_;
  const UniqueFd refused_;  // an eventfd: write() did not take everything
};

}  // namespace vmsnap::vmm
