// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/clock_state.h"

#include <gtest/gtest.h>

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kSavedAt = 1'700'000'000 * kSecond;

schema::KvmClockT saved_clock() {
  schema::KvmClockT clock;
  clock.system_time = 55 * kSecond;
  clock.host_realtime = kSavedAt;
  return clock;
}

TEST(TimePlan, OfFreezeHidesTheDowntime) {
  auto time = plan_time(saved_clock(), TimePolicy::kFreeze, 2'000'000, kSavedAt + 3600 * kSecond, 42);
  ASSERT_TRUE(time);
  EXPECT_EQ(time->system_time, 55 * kSecond);
  EXPECT_EQ(time->downtime, 0u);
  EXPECT_EQ(time->tsc_advance, 0u);
  EXPECT_EQ(time->host_tsc, 42u);
}

TEST(TimePlan, OfAdvanceMovesClockAndTscByTheDowntime) {
  auto time = plan_time(saved_clock(), TimePolicy::kAdvance, 2'500'000, kSavedAt + 3600 * kSecond, 42);
  ASSERT_TRUE(time);
  EXPECT_EQ(time->system_time, 3655 * kSecond);
  EXPECT_EQ(time->downtime, 3600 * kSecond);
  EXPECT_EQ(time->tsc_advance, 3600 * std::uint64_t{2'500'000'000});
}

TEST(TimePlan, OfAdvanceDoesNotOverflowOverYears) {
  auto time =
      plan_time(saved_clock(), TimePolicy::kAdvance, 5'000'000, kSavedAt + 50 * 365 * 86400 * kSecond, 42);
  ASSERT_TRUE(time) << time.error().to_string();
  EXPECT_EQ(time->tsc_advance, 50 * 365 * std::uint64_t{86400} * 5'000'000'000);
}

TEST(TimePlan, NeverTakesGuestTimeBackWhenTheWallClockWent) {
  auto time = plan_time(saved_clock(), TimePolicy::kAdvance, 2'000'000, kSavedAt - kSecond, 42);
  ASSERT_TRUE(time);
  EXPECT_EQ(time->system_time, 55 * kSecond);
  EXPECT_EQ(time->tsc_advance, 0u);
}

TEST(TimePlan, OfAdvanceNeedsToKnowWhenTheSnapshotWasTaken) {
  schema::KvmClockT clock = saved_clock();
  clock.host_realtime = flatbuffers::nullopt;
  auto time = plan_time(clock, TimePolicy::kAdvance, 2'000'000, kSavedAt, 42);
  ASSERT_FALSE(time);
  EXPECT_EQ(time.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(time.error().field(), "host_realtime");
  EXPECT_TRUE(plan_time(clock, TimePolicy::kFreeze, 2'000'000, kSavedAt, 42));
}

TEST(TimePlan, OfAdvanceNeedsToKnowTheTscFrequency) {
  auto time = plan_time(saved_clock(), TimePolicy::kAdvance, 0, kSavedAt, 42);
  ASSERT_FALSE(time);
  EXPECT_EQ(time.error().kind(), ErrorKind::kUnsupported);
}

TEST(TimePlan, OfAdvanceRefusesADowntimeOfMoreThanACentury) {
  schema::KvmClockT clock = saved_clock();
  clock.host_realtime = 0;
  auto time = plan_time(clock, TimePolicy::kAdvance, 2'000'000, 4'000'000'000 * kSecond, 42);
  ASSERT_FALSE(time);
  EXPECT_EQ(time.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(TscScale, IsExactForOneFrequencyAndDoesNotOverflowForTwo) {
  HostFacts facts;
  facts.host_tsc_khz = 2'000'000;
  facts.guest_tsc_khz = 2'000'000;
  EXPECT_EQ(scale_tsc(~std::uint64_t{0}, facts), ~std::uint64_t{0});
  facts.guest_tsc_khz = 3'000'000;
  EXPECT_EQ(scale_tsc(std::uint64_t{1} << 62, facts), (std::uint64_t{1} << 62) / 2 * 3);
  facts.guest_tsc_khz = 0;
  EXPECT_EQ(scale_tsc(77, facts), 77u);
}

TEST(TimePolicyName, IsParsedOrRefused) {
  EXPECT_EQ(*parse_time_policy("freeze"), TimePolicy::kFreeze);
  EXPECT_EQ(*parse_time_policy("advance"), TimePolicy::kAdvance);
  auto unknown = parse_time_policy("rewind");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace vmsnap::vmm
