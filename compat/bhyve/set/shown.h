// SPDX-License-Identifier: BSD-2-Clause
// Names of a legacy snapshot on their way to a person.
#pragma once

#include <string>
#include <string_view>

namespace vmsnap::compat::bhyve {

/// The bytes with escapes for all that is not safe to print; of more than 64 bytes the first, and dots.
[[nodiscard]] std::string printable(std::string_view bytes);

/// The same between double quotes.
[[nodiscard]] std::string shown(std::string_view bytes);

}  // namespace vmsnap::compat::bhyve
