// SPDX-License-Identifier: BSD-2-Clause
#include "progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace vmsnap::snaptool {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kInterval = std::chrono::milliseconds(200);

std::string duration(std::uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t total,
                          std::chrono::steady_clock::duration elapsed) {
  std::string line = human_size(done);
  if (total != 0) line += fmt::format(" of {}", human_size(total));
  const double seconds = std::chrono::duration<double>(elapsed).count();
  if (done == 0 || seconds <= 0) return line;
  const double rate = static_cast<double>(done) / seconds;
  line += fmt::format(", {}/s", human_size(static_cast<std::uint64_t>(rate)));
  if (done < total) {
    const double left = static_cast<double>(total - done) / rate;
    // Slower than a year is as good as never.
    if (left < 365.0 * 86400) line += fmt::format(", {} left", duration(static_cast<std::uint64_t>(left)));
  }
  return line;
}

Progress::Progress(Output& output, std::string what, std::uint64_t total_bytes, Clock clock)
    : output_(output),
      what_(std::move(what)),
      total_(total_bytes),
      clock_(std::move(clock)),
      begin_(clock_()),
      next_(begin_ + kPatience) {}

Progress::~Progress() {
  if (shown_) output_.overwrite("");
}

void Progress::add(std::uint64_t bytes) {
  const std::uint64_t done = done_.fetch_add(bytes) + bytes;
  if (!output_.watcher().terminal) return;
  // Whoever comes while another thread writes has nothing to add.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  const auto now = clock_();
  if (now < next_) return;
  next_ = now + kInterval;
  shown_ = true;
  output_.overwrite(fmt::format("{}: {}", what_, progress_line(done, total_, now - begin_)));
}

PassOptions Progress::pass() {
  PassOptions options;
  options.threads = std::max(1U, std::thread::hardware_concurrency());
  options.progress = [this](std::uint64_t bytes) { add(bytes); };
  if (output_.watcher().catch_interrupt) options.cancelled = output_.watcher().catch_interrupt();
  return options;
}

}  // namespace vmsnap::snaptool
