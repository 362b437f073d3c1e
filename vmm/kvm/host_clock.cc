// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/host_clock.h"

#include <time.h>

namespace vmsnap::vmm {
namespace {

std::int64_t read_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::uint64_t host_realtime_ns() {
  return static_cast<std::uint64_t>(read_ns(CLOCK_REALTIME));
}

std::int64_t host_monotonic_ns() {
  return read_ns(CLOCK_MONOTONIC);
}

}  // namespace vmsnap::vmm
