// SPDX-License-Identifier: BSD-2-Clause
// Words that every part of the converter of bhyve's snapshots uses.
#pragma once

#include <cstdint>

namespace vmsnap::compat::bhyve {

/// Whose virtualization extensions the kernel's chunks describe.
enum class Vendor : std::uint8_t { kIntel, kAmd };

}  // namespace vmsnap::compat::bhyve
