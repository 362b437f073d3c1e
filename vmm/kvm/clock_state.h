// SPDX-License-Identifier: BSD-2-Clause
// Guest time across a save and restore. One instant, the anchor, ties the clocks together: kvmclock, the
// TSC of every virtual CPU and the host's clocks are all stated for it, so they cannot drift apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "kvm/host_facts.h"
#include "kvm_clock_generated.h"

namespace vmsnap::vmm {

class KvmVm;

/// kFreeze: guest time goes on where it stopped; the downtime does not exist for the guest. kAdvance: guest
/// time moves on by the downtime, as the wall clock did. One of them holds for kvmclock and TSC alike.
enum class TimePolicy : std::uint8_t { kFreeze, kAdvance };

/// "freeze", "advance". Errors: Usage for any other name.
[[nodiscard]] Result<TimePolicy> parse_time_policy(std::string_view name);

/// The machine's clock, and the anchor: the host's TSC at the instant it was taken. All virtual CPUs are
/// stopped. `host_realtime` is always filled in (by the host's clock where KVM does not pair them).
struct ClockSnapshot {
  schema::KvmClockT state;
  std::uint64_t host_tsc = 0;
};

/// Errors: Io.
[[nodiscard]] Result<ClockSnapshot> save_clock(const KvmVm& vm);

/// Guest time at a new anchor, worked out before anything is set.
struct RestoredTime {
  std::uint64_t system_time = 0;  // kvmclock at the anchor, ns
  std::uint64_t downtime = 0;     // what the policy adds to guest time, ns; 0 when frozen
  std::uint64_t tsc_advance = 0;  // what the policy adds to each TSC, ticks of the guest
  std::uint64_t host_tsc = 0;     // the anchor: TSC of this host
};

/// `realtime` is this host's wall clock (ns since 1970) and `host_tsc` its TSC at one instant. A wall clock
/// that stands before the saved one counts as no downtime: guest time never goes back. Errors: Unsupported
/// when the policy is kAdvance and the snapshot does not say when it was taken, or the TSC frequency is not
/// known; LimitExceeded when the downtime is more than 100 years.
[[nodiscard]] Result<RestoredTime> plan_time(const schema::KvmClockT& saved, TimePolicy policy,
                                             std::uint64_t guest_tsc_khz, std::uint64_t realtime,
                                             std::uint64_t host_tsc);

/// Sets kvmclock so that it reads `time.system_time` at the anchor. After every virtual CPU's MSRs, before
/// any virtual CPU runs. Errors: Io.
[[nodiscard]] Result<void> restore_clock(const KvmVm& vm, const RestoredTime& time);

/// Ticks of a guest TSC for those of the host: ticks * guest_khz / host_khz, or `ticks` when one is not
/// known.
[[nodiscard]] std::uint64_t scale_tsc(std::uint64_t ticks, const HostFacts& facts);

}  // namespace vmsnap::vmm
