// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/field_values.h"

#include <cstring>

namespace vmsnap::compat::bhyve {
namespace {

bool ends_with_minus_one(const Field& field) {
  return field.item->count.source == Count::Source::kUntilMinusOne;
}

bool is_number(const Field& field) {
  return field.item->type != Type::kByte && field.size == size_of(field.item->type) &&
         !ends_with_minus_one(field);
}

ByteVector number_bytes(std::uint64_t number, std::size_t size) {
  ByteVector bytes(size);
  std::memcpy(bytes.data(), &number, std::min(size, sizeof number));
  return bytes;
}

constexpr std::string_view kRingName = "ring";

std::string beside_ring(const Field& ring, std::string_view name) {
  return ring.path.substr(0, ring.path.size() - kRingName.size()).append(name);
}

}  // namespace

PrivateItem item_of(const Field& field, ByteView bytes) {
  PrivateItem item{field.path, std::nullopt, {}};
  if (is_number(field)) {
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), bytes.size());
    item.value = number;
  } else {
    item.bytes.assign(bytes.begin(), bytes.end());
  }
  return item;
}

std::optional<ByteVector> field_bytes(const Field& field,
                                      const std::variant<std::uint64_t, ByteVector>& content) {
  if (const auto* number = std::get_if<std::uint64_t>(&content)) {
    const std::size_t size = size_of(field.item->type);
    if (!ends_with_minus_one(field) && field.size != size) return std::nullopt;
    return number_bytes(*number, size);
  }
  const auto& bytes = std::get<ByteVector>(content);
  if (!ends_with_minus_one(field) && bytes.size() != field.size) return std::nullopt;
  return bytes;
}

std::optional<ByteVector> field_bytes(const Field& field, const PrivateItem& item) {
  if (item.value) return field_bytes(field, std::variant<std::uint64_t, ByteVector>(*item.value));
  return field_bytes(field, std::variant<std::uint64_t, ByteVector>(item.bytes));
}

ByteVector empty_bytes(const Field& field) {
  const Type type = field.item->type;
  if (ends_with_minus_one(field)) return number_bytes(~std::uint64_t{0}, size_of(type));
  if (type == Type::kGaddrOrNull) return ByteVector(field.size, std::byte{0xff});
  return ByteVector(field.size);
}

bool is_ring(const Field& field) {
  constexpr std::string_view kEnd = "].ring";
  return field.item->type == Type::kByte && field.path.size() > kEnd.size() &&
         std::string_view(field.path).substr(field.path.size() - kEnd.size()) == kEnd;
}

std::string ring_before(const Field& ring) {
  return ring.path + ".before";
}

std::string ring_address(const Field& ring) {
  return beside_ring(ring, "desc_ring");
}

}  // namespace vmsnap::compat::bhyve
