// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "core/state_converter.h"

namespace vmsnap::vmm {

/// A converter that knows every release level and every step of this build (compat/).
[[nodiscard]] std::unique_ptr<StateConverter> make_state_converter();

}  // namespace vmsnap::vmm
