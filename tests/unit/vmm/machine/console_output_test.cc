// SPDX-License-Identifier: BSD-2-Clause
#include "machine/console_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>

namespace vmsnap::vmm {
namespace {

class ConsoleOutputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
    auto output = ConsoleOutput::open(writer_.get());
    ASSERT_TRUE(output) << output.error().to_string();
    output_ = std::move(*output);
  }

  /// Fills the pipe; returns how many bytes that took.
  std::size_t fill() {
    const ByteVector bytes(16, std::byte{'x'});
    std::size_t taken = 0;
    while (true) {
      const std::size_t count = output_->write(bytes);
      taken += count;
      if (count < bytes.size()) return taken;
    }
  }
  std::string take(std::size_t limit) {
    std::string text(limit, '\0');
    const ssize_t count = ::read(reader_.get(), text.data(), text.size());
    text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return text;
  }

  UniqueFd reader_;
  UniqueFd writer_;
  std::unique_ptr<ConsoleOutput> output_;
};

TEST_F(ConsoleOutputTest, WritesWhatThereIsRoomFor) {
  EXPECT_EQ(output_->write(as_byte_view("hello")), 5U);
  EXPECT_EQ(take(100), "hello");
}

TEST_F(ConsoleOutputTest, DoesNotWaitForAReaderThatDoesNotRead) {
  EXPECT_GE(fill(), 4096U);
  EXPECT_EQ(output_->write(as_byte_view("late")), 0U);
  // Whoever else has the pipe open still finds it as it was.
  EXPECT_EQ(::fcntl(writer_.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ConsoleOutputTest, DropsWhatIsForAReaderThatHasGoneAway) {
  fill();
  reader_.reset();
  EXPECT_EQ(output_->write(as_byte_view("nobody")), 6U);
}

class Waiter {
 public:
  void signal() {
    {
      const std::lock_guard lock(mutex_);
      ++count_;
    }
    changed_.notify_all();
  }
  bool wait_for(int count, std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return count_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

TEST_F(ConsoleOutputTest, SaysWhenThereIsRoomAgain) {
  Waiter waiter;
  const auto watch = ConsoleOutput::Watch::start(*output_, [&] { waiter.signal(); });
  ASSERT_TRUE(watch) << watch.error().to_string();
  const std::size_t size = fill();
  EXPECT_FALSE(waiter.wait_for(1, std::chrono::milliseconds(20)));
  while (take(size).size() < size && !waiter.wait_for(1, std::chrono::milliseconds(0))) {
  }
  EXPECT_TRUE(waiter.wait_for(1, std::chrono::seconds(10)));
  EXPECT_FALSE(waiter.wait_for(2, std::chrono::milliseconds(20))) << "once for each refusal";
}

TEST_F(ConsoleOutputTest, SaysSoToWhoWaitsForAReaderThatGoesAway) {
  Waiter waiter;
  const auto watch = ConsoleOutput::Watch::start(*output_, [&] { waiter.signal(); });
  ASSERT_TRUE(watch);
  fill();
  reader_.reset();
  EXPECT_TRUE(waiter.wait_for(1, std::chrono::seconds(10)));
  EXPECT_EQ(output_->write(as_byte_view("x")), 1U);
}

TEST_F(ConsoleOutputTest, EndsWhileItWaits) {
  const auto watch = ConsoleOutput::Watch::start(*output_, [] {});
  ASSERT_TRUE(watch);
  fill();
}

}  // namespace
}  // namespace vmsnap::vmm
