// SPDX-License-Identifier: BSD-2-Clause
// What fields of legacy chunks hold, as bytes and as items.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/mapping.h"
#include "bhyve/layout/walk.h"

namespace vmsnap::compat::bhyve {

/// The item that keeps `bytes`, what the field holds.
[[nodiscard]] PrivateItem item_of(const Field& field, ByteView bytes);

/// The bytes of the field that a number or bytes stand for. A number is cut to the width of the field;
/// nothing when bytes have another size than the field: of a list that ends with -1 the size is not known.
[[nodiscard]] std::optional<ByteVector> field_bytes(const Field& field,
                                                    const std::variant<std::uint64_t, ByteVector>& content);
[[nodiscard]] std::optional<ByteVector> field_bytes(const Field& field, const PrivateItem& item);

/// What the field holds when nobody knows: 0, NULL, an empty list.
[[nodiscard]] ByteVector empty_bytes(const Field& field);

/// True for the memory of a virtqueue's ring: "queue[0].ring".
[[nodiscard]] bool is_ring(const Field& field);
/// The path of the item that says what memory held where the ring is: "queue[0].ring.before".
[[nodiscard]] std::string ring_before(const Field& ring);
/// The path of the ring's address: "queue[0].desc_ring".
[[nodiscard]] std::string ring_address(const Field& ring);

}  // namespace vmsnap::compat::bhyve
