// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <vector>

#include "bhyve/convert/mapping.h"

namespace vmsnap::compat::bhyve {
namespace {

/// The lowest `size` bytes of `bits`; of a signed type with the sign it then has.
std::int64_t cut(std::uint64_t bits, reflect::ScalarType type) {
  const std::uint32_t width = 8 * reflect::size_of(type);
  const std::uint64_t mask = width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
  return reflect::Scalar{type, bits & mask}.as_signed();
}

Result<void> set_number(StateTree& state, const std::string& path, reflect::ScalarType type,
                        std::uint64_t bits) {
  if (type == reflect::ScalarType::kBool) return state.set(path, bits != 0);
  const std::int64_t value = cut(bits, type);
  if (reflect::is_signed(type)) return state.set(path, value);
  return state.set(path, static_cast<std::uint64_t>(value));
}

template <typename T>
Result<void> set_numbers(StateTree& state, const std::string& path, const Field& field, ByteView bytes) {
  std::vector<T> numbers(field.count());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<T>(load_number(field.item->type, bytes, i).bits);
  }
  return state.set(path, numbers);
}

Result<void> carry_item(const Row& row, const SourceChunk& chunk, const Field& field, StateTree& state,
                        const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(const StateTree::Place place, state.find(path));
  const reflect::Type& type = place.field->type;
  const ByteView bytes = chunk.decoded.bytes(field);
  if (type.shape == reflect::Shape::kSingle) {
    const std::uint64_t bits = load_number(field.item->type, bytes).bits;
    return set_number(state, path, type.scalar, row.to_field == nullptr ? bits : row.to_field(bits));
  }
  switch (reflect::size_of(type.scalar)) {
    case 1:
      return set_numbers<std::uint8_t>(state, path, field, bytes);
    case 2:
      return set_numbers<std::uint16_t>(state, path, field, bytes);
    case 4:
      return set_numbers<std::uint32_t>(state, path, field, bytes);
    default:
      return set_numbers<std::uint64_t>(state, path, field, bytes);
  }
}

}  // namespace

Result<void> carry_up(std::span<const Row> rows, const SourceChunk& chunk, std::string_view item_prefix,
                      StateTree& state, std::string_view field_prefix) {
  for (const Row& row : rows) {
    const Field* field = chunk.decoded.find(fmt::format("{}{}", item_prefix, row.item));
    if (field == nullptr) continue;
    VMSNAP_RETURN_IF_ERROR(
        carry_item(row, chunk, *field, state, fmt::format("{}{}", field_prefix, row.field)));
  }
  return {};
}

Result<void> carry_down(std::span<const Row> rows, const StateTree& state, std::string_view field_prefix,
                        Values& values, std::string_view item_prefix, Origin origin) {
  for (const Row& row : rows) {
    VMSNAP_ASSIGN_OR_RETURN(const StateTree::Place place,
                            state.find(fmt::format("{}{}", field_prefix, row.field)));
    std::string item = fmt::format("{}{}", item_prefix, row.item);
    if (place.number) {
      const auto bits = static_cast<std::uint64_t>(place.owner->numbers()->at(*place.number).as_signed());
      values.put(std::move(item), row.to_item == nullptr ? bits : row.to_item(bits), origin);
    } else if (place.value != nullptr && place.value->scalar() != nullptr) {
      const auto bits = static_cast<std::uint64_t>(place.value->scalar()->as_signed());
      values.put(std::move(item), row.to_item == nullptr ? bits : row.to_item(bits), origin);
    } else if (place.value != nullptr && place.value->numbers() != nullptr) {
      values.put(std::move(item), ByteVector(place.value->numbers()->bytes), origin);
    }
  }
  return {};
}

}  // namespace vmsnap::compat::bhyve
