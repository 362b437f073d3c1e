// SPDX-License-Identifier: BSD-2-Clause
// What a person sees of a command that takes its time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "output.h"
#include "ram/pass_options.h"

namespace vmsnap::snaptool {

/// "1.5 GiB of 4 GiB, 512 MiB/s, 5 s left", for `done` of `total` bytes after `elapsed`; less when the total
/// is not known (0).
[[nodiscard]] std::string progress_line(std::uint64_t done, std::uint64_t total,
                                        std::chrono::steady_clock::duration elapsed);

/// A line on the terminal that follows a pass over guest memory. It appears after a second and is gone when
/// the object is; where `err` is no terminal it never appears.
class Progress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  /// `what` is said before the numbers. `output` must outlive the object.
  Progress(Output& output, std::string what, std::uint64_t total_bytes,
           Clock clock = std::chrono::steady_clock::now);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// Counts bytes that are done. Thread-safe.
  void add(std::uint64_t bytes);

  /// Options of a pass over all cores that is shown here and that an interrupt cancels. The object must
  /// outlive the pass.
  [[nodiscard]] PassOptions pass();

 private:
  Output& output_;
  std::string what_;
  std::uint64_t total_;
  Clock clock_;
  std::chrono::steady_clock::time_point begin_;
  std::atomic<std::uint64_t> done_{0};
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_;  // when the line is due
  bool shown_ = false;
};

}  // namespace vmsnap::snaptool
