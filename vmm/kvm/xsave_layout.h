// SPDX-License-Identifier: BSD-2-Clause
// The XSAVE area in standard format (Intel SDM Vol. 1, section 13.4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmsnap::vmm {

inline constexpr std::size_t kXsaveMxcsr = 24;
inline constexpr std::size_t kXsaveHeader = 512;  // XSTATE_BV
inline constexpr std::size_t kXsaveXcompBv = 520;
inline constexpr std::size_t kXsaveReserved = 528;
inline constexpr std::size_t kXsaveExtended = 576;  // end of the header
inline constexpr std::size_t kXsaveMaxSize = std::size_t{64} * 1024;
inline constexpr std::uint64_t kXstateX87 = 1;
inline constexpr std::uint64_t kXstateSse = 2;

}  // namespace vmsnap::vmm
