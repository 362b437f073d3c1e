// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/tsc_frequency.h"

#include <fmt/format.h>

namespace vmsnap::vmm {

TscFit fit_tsc_frequency(std::uint64_t wanted_khz, std::uint64_t host_khz, bool has_scaling) {
  if (wanted_khz == 0 || host_khz == 0) return TscFit::kAsIs;
  const std::uint64_t difference = wanted_khz > host_khz ? wanted_khz - host_khz : host_khz - wanted_khz;
  if (difference <= host_khz / 4000) return TscFit::kAsIs;  // 250 ppm
  return has_scaling ? TscFit::kScaled : TscFit::kImpossible;
}

Error tsc_frequency_error(std::uint64_t wanted_khz, std::uint64_t host_khz) {
  return Error(ErrorKind::kUnsupported,
               fmt::format("the guest's TSC runs at {} kHz, this host's at {} kHz, and this host cannot "
                           "scale it; restore "
                           "on a host with TSC scaling or a frequency within 250 ppm",
                           wanted_khz, host_khz))
      .in_field("tsc_frequency");
}

}  // namespace vmsnap::vmm
