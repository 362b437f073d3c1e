// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/clock_state.h"

#include <fmt/format.h>

#include "kvm/host_clock.h"
#include "kvm/kvm_api.h"
#include "kvm/vm.h"

namespace vmsnap::vmm {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kMaxDowntime = std::uint64_t{100} * 366 * 86400 * kNsPerSecond;

__extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using)

std::uint64_t mul_div(std::uint64_t value, std::uint64_t numerator, std::uint64_t denominator) {
  return static_cast<std::uint64_t>(Wide{value} * numerator / denominator);
}

}  // namespace

Result<TimePolicy> parse_time_policy(std::string_view name) {
  if (name == "freeze") return TimePolicy::kFreeze;
  if (name == "advance") return TimePolicy::kAdvance;
  return Error(ErrorKind::kUsage, fmt::format("there is no time policy \"{}\"; use freeze or advance", name));
}

Result<ClockSnapshot> save_clock(const KvmVm& vm) {
  kvm_clock_data data{};
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_GET_CLOCK, "KVM_GET_CLOCK", &data));
  // Where KVM does not pair the clocks, reading them right after it is off by microseconds at most.
  const std::uint64_t host_tsc = vm.fd().calls()->host_tsc();
  const std::uint64_t realtime = host_realtime_ns();
  ClockSnapshot snapshot;
  snapshot.state.system_time = data.clock;
  snapshot.state.tsc_stable = (data.flags & KVM_CLOCK_TSC_STABLE) != 0;
  snapshot.state.host_realtime =
      (data.flags & KVM_CLOCK_REALTIME) != 0 ? std::uint64_t{data.realtime} : realtime;
  snapshot.host_tsc = host_tsc;
  if ((data.flags & KVM_CLOCK_HOST_TSC) != 0) {
    snapshot.state.host_tsc = data.host_tsc;
    snapshot.host_tsc = data.host_tsc;
  }
  return snapshot;
}

Result<RestoredTime> plan_time(const schema::KvmClockT& saved, TimePolicy policy, std::uint64_t guest_tsc_khz,
                               std::uint64_t realtime, std::uint64_t host_tsc) {
  RestoredTime time;
  time.system_time = saved.system_time;
  time.host_tsc = host_tsc;
  if (policy == TimePolicy::kFreeze) return time;
  if (!saved.host_realtime.has_value()) {
    return Error(ErrorKind::kUnsupported,
                 "the snapshot does not say at what time it was taken, so guest time cannot be "
                 "advanced; restore with the time policy freeze")
        .in_field("host_realtime");
  }
  if (guest_tsc_khz == 0) {
    return Error(ErrorKind::kUnsupported,
                 "this host does not know the frequency of its TSC, so guest time cannot be "
                 "advanced; restore with the time policy freeze");
  }
  if (realtime > *saved.host_realtime) time.downtime = realtime - *saved.host_realtime;
  if (time.downtime > kMaxDowntime) {
    return Error(ErrorKind::kLimitExceeded,
                 "the snapshot says that it was taken more than 100 years ago; restore with the "
                 "time policy freeze, or set this host's clock")
        .in_field("host_realtime");
  }
  time.system_time += time.downtime;
  time.tsc_advance = mul_div(time.downtime, guest_tsc_khz, kNsPerMs);
  return time;
}

Result<void> restore_clock(const KvmVm& vm, const RestoredTime& time) {
  const std::uint64_t host_khz = vm.facts().host_tsc_khz;
  const std::uint64_t since_anchor = vm.fd().calls()->host_tsc() - time.host_tsc;
  // Flags stay 0 under both policies: the downtime is already in system_time, and flags left over from a
  // saved structure would make the kernel add it again.
  kvm_clock_data data{};
  data.clock = time.system_time + (host_khz == 0 ? 0 : mul_div(since_anchor, kNsPerMs, host_khz));
  VMSNAP_RETURN_IF_ERROR(vm.fd().call(KVM_SET_CLOCK, "KVM_SET_CLOCK", &data));
  return {};
}

std::uint64_t scale_tsc(std::uint64_t ticks, const HostFacts& facts) {
  if (facts.guest_tsc_khz == 0 || facts.host_tsc_khz == 0 || facts.guest_tsc_khz == facts.host_tsc_khz)
    return ticks;
  return mul_div(ticks, facts.guest_tsc_khz, facts.host_tsc_khz);
}

}  // namespace vmsnap::vmm
