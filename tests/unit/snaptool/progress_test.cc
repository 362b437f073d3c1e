// SPDX-License-Identifier: BSD-2-Clause
#include "progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>
#include <vector>

namespace vmsnap::snaptool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::uint64_t kMiB = 1u << 20;

/// A pass that is watched by a clock that stands still.
class Watched : public ::testing::Test {
 protected:
  std::ostringstream out_;
  std::ostringstream err_;
  std::chrono::steady_clock::time_point now_;
};

TEST(ProgressLine, SaysHowMuchHowFastAndHowLong) {
  EXPECT_EQ(progress_line(256 * kMiB, 1024 * kMiB, seconds(2)), "256 MiB of 1 GiB, 128 MiB/s, 6 s left");
  EXPECT_EQ(progress_line(kMiB, 101 * kMiB, seconds(1)), "1 MiB of 101 MiB, 1 MiB/s, 1 min 40 s left");
  EXPECT_EQ(progress_line(kMiB, 7201 * kMiB, seconds(1)), "1 MiB of 7.0 GiB, 1 MiB/s, 2 h 0 min left");
}

TEST(ProgressLine, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(progress_line(kMiB, 0, seconds(2)), "1 MiB, 512 KiB/s");
  EXPECT_EQ(progress_line(0, kMiB, seconds(2)), "0 bytes of 1 MiB");
  EXPECT_EQ(progress_line(kMiB, kMiB, seconds(0)), "1 MiB of 1 MiB");
  EXPECT_EQ(progress_line(kMiB, kMiB, seconds(1)), "1 MiB of 1 MiB, 1 MiB/s");
  EXPECT_EQ(progress_line(1, UINT64_MAX, seconds(10)), "1 byte of 15.9 EiB, 0 bytes/s");
}

TEST_F(Watched, ShowsALineAfterASecondThenFiveInASecondAndTakesItAway) {
  Output output(out_, err_, {true, {}});
  {
    Progress progress(output, "checking", 100 * kMiB, [this] { return now_; });
    now_ += milliseconds(999);
    progress.add(kMiB);
    EXPECT_EQ(err_.str(), "");
    now_ += milliseconds(1);
    progress.add(kMiB);
    EXPECT_EQ(err_.str(), "\rchecking: 2 MiB of 100 MiB, 2 MiB/s, 49 s left\x1b[K");
    now_ += milliseconds(199);
    progress.add(kMiB);
    EXPECT_THAT(err_.str(), Not(HasSubstr("3 MiB of")));
    now_ += milliseconds(801);
    progress.add(kMiB);
    EXPECT_THAT(err_.str(), HasSubstr("\rchecking: 4 MiB of 100 MiB, 2 MiB/s, 48 s left\x1b[K"));
  }
  EXPECT_TRUE(err_.str().ends_with("\x1b[K\r\x1b[K")) << err_.str();
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Watched, SaysNothingWhenNobodyWatches) {
  Output output(out_, err_);
  {
    Progress progress(output, "checking", 100 * kMiB, [this] { return now_; });
    now_ += seconds(100);
    progress.add(kMiB);
    EXPECT_EQ(progress.pass().cancelled, nullptr);
    EXPECT_GE(progress.pass().threads, 1u);
  }
  EXPECT_EQ(err_.str(), "");
}

TEST_F(Watched, SaysNothingOfAPassThatIsQuick) {
  Output output(out_, err_, {true, {}});
  {
    Progress(output, "checking", kMiB, [this] { return now_; }).add(kMiB);
  }
  EXPECT_EQ(err_.str(), "");
}

TEST_F(Watched, CountsWhatManyThreadsDo) {
  Output output(out_, err_, {true, {}});
  Progress progress(output, "checking", 4000, [this] { return now_; });
  const PassOptions pass = progress.pass();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pass] {
      for (int j = 0; j < 999; ++j) pass.progress(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  now_ += seconds(2);
  progress.add(4);
  EXPECT_THAT(err_.str(), StartsWith("\rchecking: 3.9 KiB of 3.9 KiB, 1.9 KiB/s"));
}

}  // namespace
}  // namespace vmsnap::snaptool
