// SPDX-License-Identifier: BSD-2-Clause
// Documentation of the layouts, made from them.
#pragma once

#include <string>

namespace vmsnap::compat::bhyve {

/// The whole of docs/bhyve-layouts.md.
[[nodiscard]] std::string layouts_as_markdown();

}  // namespace vmsnap::compat::bhyve
