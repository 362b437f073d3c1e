// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

namespace vmsnap::vmm {

/// CLOCK_REALTIME: ns since 1970-01-01T00:00:00Z.
[[nodiscard]] std::uint64_t host_realtime_ns();
/// CLOCK_MONOTONIC in ns: what the kernel's ktime_get() counts.
[[nodiscard]] std::int64_t host_monotonic_ns();

}  // namespace vmsnap::vmm
