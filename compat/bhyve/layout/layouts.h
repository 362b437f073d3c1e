// SPDX-License-Identifier: BSD-2-Clause
// The list of all layouts. A release of FreeBSD that stores a chunk in another way gets another layout of it:
// a table in tables/, and nothing else.
#pragma once

#include <string_view>
#include <vector>

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// Every layout, structures of the kernel first, in the order bhyve stores them. The layouts live for ever.
[[nodiscard]] std::vector<const Layout*> all_layouts();

/// The layouts of the chunk of that name: a structure of the kernel ("vmcx"), or a device emulation, also
/// under its other names ("ahci-hd"), without a place on a bus. Empty when nobody knows such a chunk.
[[nodiscard]] std::vector<const Layout*> layouts_of(std::string_view chunk);

/// The layout of the chunk in that shape; nullptr when there is none.
[[nodiscard]] const Layout* find_layout(std::string_view chunk, std::string_view shape);

/// The layout in which a generation ("C0") on hosts of that vendor writes the chunk; nullptr when it has no
/// such chunk.
[[nodiscard]] const Layout* layout_in(std::string_view chunk, std::string_view generation, Vendor vendor);

}  // namespace vmsnap::compat::bhyve
