// SPDX-License-Identifier: BSD-2-Clause
#include "machine/run_gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace vmsnap::vmm {
namespace {

/// Threads that count while the gate lets them.
class Runners {
 public:
  explicit Runners(unsigned count) : gate_(count, [this] { ++kicks_; }), counts_(count) {
    for (unsigned i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] {
        while (true) {
          if (gate_.is_shut() && !gate_.pass()) return;
          counts_[i].fetch_add(1);
          std::this_thread::yield();
        }
      });
    }
  }
  ~Runners() {
    gate_.dismiss();
    for (std::thread& thread : threads_) thread.join();
  }

  RunGate& gate() { return gate_; }
  int kicks() const { return kicks_; }
  std::vector<long> counts() const {
    std::vector<long> out;
    for (const auto& count : counts_) out.push_back(count.load());
    return out;
  }
  void wait_until_all_moved() const {
    const auto before = counts();
    while (true) {
      bool all = true;
      const auto now = counts();
      for (std::size_t i = 0; i < now.size(); ++i) all = all && now[i] > before[i];
      if (all) return;
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> kicks_{0};
  RunGate gate_;
  std::vector<std::atomic<long>> counts_;
  std::vector<std::thread> threads_;
};

TEST(RunGate, BeginsClosedSoThatNothingRunsBeforeItIsOpened) {
  Runners runners(2);
  runners.gate().close();
  EXPECT_EQ(runners.counts(), (std::vector<long>{0, 0}));
}

TEST(RunGate, NoThreadMovesBetweenCloseAndOpen) {
  Runners runners(3);
  for (int round = 0; round < 50; ++round) {
    runners.gate().open();
    runners.wait_until_all_moved();
    runners.gate().close();
    const auto stopped = runners.counts();
    std::this_thread::yield();
    EXPECT_EQ(runners.counts(), stopped);
  }
  EXPECT_GE(runners.kicks(), 50);
}

TEST(RunGate, ClosingDoesNotWaitForAThreadThatHasLeft) {
  RunGate gate(2, [] {});
  std::thread one([&] { gate.leave(); });
  std::thread two([&] {
    while (gate.pass()) {
    }
  });
  gate.close();
  gate.dismiss();
  one.join();
  two.join();
  SUCCEED() << "close() returned with one thread gone";
}

}  // namespace
}  // namespace vmsnap::vmm
