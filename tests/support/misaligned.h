// SPDX-License-Identifier: BSD-2-Clause
// FlatBuffers that are sound but for the alignment of a vector.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstdint>

#include "base/bytes.h"

namespace vmsnap {

/// A copy of `buffer` in which the vector in a field of `table`, a generated table in `buffer`, has moved to
/// where its elements, of `element_size` bytes, are not aligned to 8. `field` is the table's VT_ constant.
inline ByteVector with_misaligned_vector(const ByteVector& buffer, const void* table, std::uint16_t field,
                                         std::size_t element_size) {
  const auto* slot = static_cast<const flatbuffers::Table*>(table)->GetAddressOf(field);
  const auto at = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(slot) - buffer.data());
  const std::size_t vector = at + load_le<std::uint32_t>(buffer, at);
  const std::size_t size = 4 + load_le<std::uint32_t>(buffer, vector) * element_size;
  ByteVector moved = buffer;
  moved.resize((buffer.size() + 7) / 8 * 8);
  const std::size_t target = moved.size();
  moved.insert(moved.end(), buffer.begin() + static_cast<std::ptrdiff_t>(vector),
               buffer.begin() + static_cast<std::ptrdiff_t>(vector + size));
  // The verifier wants a byte behind the last vector.
  moved.resize(moved.size() + 8);
  store_le(moved, at, static_cast<std::uint32_t>(target - at));
  return moved;
}

}  // namespace vmsnap
