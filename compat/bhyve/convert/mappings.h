// SPDX-License-Identifier: BSD-2-Clause
// The mappings, by chunk; one file each.
#pragma once

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve::mappings {

extern const Mapping kVhpet;

}  // namespace vmsnap::compat::bhyve::mappings
