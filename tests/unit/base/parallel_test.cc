// SPDX-License-Identifier: BSD-2-Clause
#include "base/parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

namespace vmsnap {
namespace {

constexpr std::size_t kItems = 200;
constexpr std::size_t kNone = ~std::size_t{0};

/// A pipeline of kItems numbers, one step of which can be told to fail at an item.
class Numbers {
 public:
  explicit Numbers(std::size_t slots) : slots_(slots) {}

  std::size_t fail_produce = kNone;
  std::size_t fail_work = kNone;
  std::size_t fail_consume = kNone;

  Result<void> run(unsigned threads) {
    PipelineSteps steps;
    steps.produce = [&](std::size_t slot) -> Result<bool> {
      // Not synchronised here: only one call at a time may come.
      if (produced_ == kItems) return false;
      if (produced_ == fail_produce) return Error(ErrorKind::kIo, "produce");
      slots_[slot] = produced_++;
      const std::size_t alive = ++alive_;
      EXPECT_LE(alive, slots_.size());
      return true;
    };
    steps.work = [&](std::size_t slot) -> Result<void> {
      const std::size_t number = slots_[slot];
      if (number == fail_work) return Error(ErrorKind::kIo, "work");
      slots_[slot] = number * 10;
      return {};
    };
    steps.consume = [&](std::size_t slot) -> Result<void> {
      if (slots_[slot] == fail_consume * 10) return Error(ErrorKind::kIo, "consume");
      consumed_.push_back(slots_[slot]);
      --alive_;
      return {};
    };
    return ordered_pipeline(threads, slots_.size(), steps);
  }

  /// True when items 0 to `count` were consumed, in order, and no others.
  [[nodiscard]] bool consumed_exactly(std::size_t count) const {
    if (consumed_.size() != count) return false;
    for (std::size_t i = 0; i < count; ++i) {
      if (consumed_[i] != i * 10) return false;
    }
    return true;
  }

 private:
  std::vector<std::size_t> slots_;
  std::size_t produced_ = 0;
  std::atomic<std::size_t> alive_ = 0;
  std::vector<std::size_t> consumed_;
};

TEST(OrderedPipeline, ConsumesEveryItemInOrderWithAnyNumberOfThreads) {
  for (const unsigned threads : {0u, 1u, 2u, 3u, 8u}) {
    for (const std::size_t slots : {1u, 2u, 5u, 16u}) {
      Numbers numbers(slots);
      ASSERT_TRUE(numbers.run(threads));
      EXPECT_TRUE(numbers.consumed_exactly(kItems)) << threads << " threads, " << slots << " slots";
    }
  }
}

TEST(OrderedPipeline, EndsAtTheFirstItemThatFailsWhateverTheStep) {
  for (const unsigned threads : {1u, 2u, 4u}) {
    for (const std::size_t failing : {std::size_t{0}, std::size_t{1}, std::size_t{77}, kItems - 1}) {
      for (const auto& [member, name] :
           {std::pair(&Numbers::fail_produce, "produce"), std::pair(&Numbers::fail_work, "work"),
            std::pair(&Numbers::fail_consume, "consume")}) {
        Numbers numbers(4);
        numbers.*member = failing;
        const auto result = numbers.run(threads);
        ASSERT_FALSE(result) << name << " of " << failing;
        EXPECT_EQ(result.error().message(), name);
        EXPECT_TRUE(numbers.consumed_exactly(failing)) << name << " of " << failing;
      }
    }
  }
}

TEST(OrderedPipeline, TheEarlierItemsErrorCountsWhenTwoFail) {
  for (int round = 0; round < 20; ++round) {
    Numbers numbers(6);
    numbers.fail_work = 50;
    numbers.fail_produce = 52;
    const auto result = numbers.run(4);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(), "work");
    EXPECT_TRUE(numbers.consumed_exactly(50));
  }
}

TEST(OrderedPipeline, WorksOnSeveralItemsAtTheSameTime) {
  // Each of two items waits for the other: without a second thread at work this would never end.
  std::mutex mutex;
  std::condition_variable met;
  int present = 0;
  int produced = 0;
  PipelineSteps steps;
  steps.produce = [&](std::size_t) -> Result<bool> { return produced++ < 2; };
  steps.work = [&](std::size_t) -> Result<void> {
    std::unique_lock lock(mutex);
    ++present;
    met.notify_all();
    met.wait(lock, [&] { return present == 2; });
    return {};
  };
  steps.consume = [](std::size_t) -> Result<void> { return {}; };
  ASSERT_TRUE(ordered_pipeline(2, 2, steps));
  EXPECT_EQ(present, 2);
}

TEST(ParallelFor, CoversEveryIndexOnce) {
  for (const unsigned threads : {0u, 1u, 3u}) {
    std::vector<std::atomic<int>> seen(1000);
    ASSERT_TRUE(parallel_for(seen.size(), 7, threads, [&] {
      return [&](std::uint64_t first, std::uint64_t last) -> Result<void> {
        for (std::uint64_t i = first; i < last; ++i) ++seen[i];
        return {};
      };
    }));
    EXPECT_TRUE(std::ranges::all_of(seen, [](const std::atomic<int>& count) { return count == 1; }));
  }
}

TEST(ParallelFor, ReturnsTheErrorOfTheLowestRange) {
  for (int round = 0; round < 20; ++round) {
    const auto result = parallel_for(1000, 10, 3, [] {
      return [](std::uint64_t first, std::uint64_t) -> Result<void> {
        if (first >= 300) return Error(ErrorKind::kIo, std::to_string(first));
        return {};
      };
    });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(), "300");
  }
}

}  // namespace
}  // namespace vmsnap
