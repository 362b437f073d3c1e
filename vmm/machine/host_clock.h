// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <ctime>

#include "core/io_handler.h"

namespace vmsnap::vmm {

/// The clocks of the host.
class HostClock : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const override { return now(CLOCK_MONOTONIC); }
  [[nodiscard]] std::int64_t realtime_ns() const override { return now(CLOCK_REALTIME); }

 private:
  [[nodiscard]] static std::int64_t now(clockid_t id) {
    timespec time{};
    ::clock_gettime(id, &time);  // cannot fail for these two clocks (clock_gettime(2))
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
};

}  // namespace vmsnap::vmm
