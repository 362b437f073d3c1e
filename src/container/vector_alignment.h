// SPDX-License-Identifier: BSD-2-Clause
// What the verifier of FlatBuffers leaves out: it checks that a vector lies in the buffer, but not that its
// elements are aligned, which the generated accessors and UnPack() take for granted.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace vmsnap {

/// True when the elements of every vector below `table` are aligned for their type. `table` is a generated
/// table that has passed the verifier, in a buffer aligned as the heap aligns. Takes no more steps than the
/// verifier took, so the verifier's limits on depth and tables hold here too. Thread-safe.
template <typename Table>
[[nodiscard]] bool vectors_are_aligned(const Table& table);

namespace detail {

/// Only generated tables have a builder; structs, strings and vectors have none.
template <typename T>
concept IsTable = requires {
  typename T::Builder;
};

template <typename Element>
[[nodiscard]] bool elements_are_aligned(const flatbuffers::Vector<Element>& vector) {
  // An element that is a pointer stands for a struct in place.
  using Stored = std::remove_pointer_t<Element>;
  return vector.size() == 0 || reinterpret_cast<std::uintptr_t>(vector.Data()) % alignof(Stored) == 0;
}

template <IsTable Table>
[[nodiscard]] bool elements_are_aligned(const flatbuffers::Vector<flatbuffers::Offset<Table>>& vector) {
  for (flatbuffers::uoffset_t i = 0; i < vector.size(); ++i) {
    if (!vectors_are_aligned(*vector.Get(i))) return false;
  }
  return true;
}

/// `field` is what the accessor returned: a number, or a pointer to what the field holds.
template <typename Field>
[[nodiscard]] bool field_is_aligned(const Field& field) {
  if constexpr (std::is_pointer_v<Field>) {
    using Held = std::remove_const_t<std::remove_pointer_t<Field>>;
    static_assert(!std::is_void_v<Held>, "a union; schemas of chunks have none");
    if (field == nullptr) return true;
    if constexpr (IsTable<Held>) return vectors_are_aligned(*field);
    if constexpr (requires { elements_are_aligned(*field); }) return elements_are_aligned(*field);
  }
  return true;
}

}  // namespace detail

template <typename Table>
bool vectors_are_aligned(const Table& table) {
  return [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    return (detail::field_is_aligned(table.template get_field<kIndex>()) && ...);
  }
  (std::make_index_sequence<Table::Traits::fields_number>());
}

}  // namespace vmsnap
