// SPDX-License-Identifier: BSD-2-Clause
// The USB devices in a chunk of the xHCI controller: how many there are is stored nowhere, and which slot
// belongs to which has to be concluded.
#pragma once

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve {

/// Bytes of the name of a device, of which the first NUL ends it.
inline constexpr std::size_t kUsbNameSize = 128;
inline constexpr std::uint64_t kMaxUsbDevices = 8;

/// The number of records of attached devices that `bytes` begins with: records have rising indices and
/// printable names, which nothing that follows them has.
[[nodiscard]] std::uint64_t count_usb_devices(ByteView bytes);

/// Whether the slot of the scope has a device: its map is the index of an attached one. bhyve gives empty
/// slots the index of an unused position.
[[nodiscard]] Result<bool> slot_has_device(const Scope& scope);

/// Whether the device of the slot is a tablet. Unsupported for any other: the size of its record is not
/// known.
[[nodiscard]] Result<bool> slot_has_tablet(const Scope& scope);

}  // namespace vmsnap::compat::bhyve
