// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "base/error.h"

namespace vmsnap::vmm {

/// How a host can give a guest its TSC frequency.
enum class TscFit : std::uint8_t {
  kAsIs,        // within 250 ppm, or one of the two is not known
  kScaled,      // by the processor's TSC scaling
  kImpossible,  //
};

/// Frequencies in kHz, 0 for not known. The tolerance is the one Linux's KVM uses itself.
[[nodiscard]] TscFit fit_tsc_frequency(std::uint64_t wanted_khz, std::uint64_t host_khz, bool has_scaling);

/// The error for kImpossible: Unsupported.
[[nodiscard]] Error tsc_frequency_error(std::uint64_t wanted_khz, std::uint64_t host_khz);

}  // namespace vmsnap::vmm
