// SPDX-License-Identifier: BSD-2-Clause
// The axes that the chunks of devices have, by their names.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "bhyve/layout/layout.h"
#include "bhyve/verdict/generation.h"

namespace vmsnap::compat::bhyve {

inline constexpr std::array<std::pair<std::string_view, Axis>, 5> kDeviceAxes = {{
    {axis::kPrefix, Axis::kPciPrefix},
    {axis::kRings, Axis::kRings},
    {axis::kNetTail, Axis::kNetTail},
    {axis::kAhci, Axis::kAhci},
    {axis::kXhci, Axis::kXhci},
}};

}  // namespace vmsnap::compat::bhyve
