// SPDX-License-Identifier: BSD-2-Clause
// Words that every part of the converter of bhyve's snapshots uses.
#pragma once

#include <cstdint>

namespace vmsnap::compat::bhyve {

/// Whose virtualization extensions the kernel's chunks describe.
enum class Vendor : std::uint8_t { kIntel, kAmd };

/// How a release stores everything: A is FreeBSD 13.0 and 13.1, B 13.2, C0 14.0, C main since.
enum class KernelShape : std::uint8_t { kA, kB, kC0, kC };

}  // namespace vmsnap::compat::bhyve
