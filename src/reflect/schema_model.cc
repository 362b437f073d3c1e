// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/schema_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace vmsnap::reflect {
namespace {

template <typename T>
const T* find_by_name(const std::vector<T>& items, std::string_view name) {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const T& item) { return item.name == name; });
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

std::uint32_t size_of(ScalarType type) {
  switch (type) {
    case ScalarType::kBool:
    case ScalarType::kI8:
    case ScalarType::kU8:
      return 1;
    case ScalarType::kI16:
    case ScalarType::kU16:
      return 2;
    case ScalarType::kI32:
    case ScalarType::kU32:
    case ScalarType::kF32:
      return 4;
    case ScalarType::kI64:
    case ScalarType::kU64:
    case ScalarType::kF64:
      return 8;
  }
  return 1;
}

bool is_signed(ScalarType type) {
  return type == ScalarType::kI8 || type == ScalarType::kI16 || type == ScalarType::kI32 ||
         type == ScalarType::kI64;
}

bool is_float(ScalarType type) {
  return type == ScalarType::kF32 || type == ScalarType::kF64;
}

std::string_view to_string(ScalarType type) {
  switch (type) {
    case ScalarType::kBool:
      return "bool";
    case ScalarType::kI8:
      return "byte";
    case ScalarType::kU8:
      return "ubyte";
    case ScalarType::kI16:
      return "short";
    case ScalarType::kU16:
      return "ushort";
    case ScalarType::kI32:
      return "int";
    case ScalarType::kU32:
      return "uint";
    case ScalarType::kI64:
      return "long";
    case ScalarType::kU64:
      return "ulong";
    case ScalarType::kF32:
      return "float";
    case ScalarType::kF64:
      return "double";
  }
  return "?";
}

std::int64_t Scalar::as_signed() const {
  switch (type) {
    case ScalarType::kI8:
      return static_cast<std::int8_t>(bits);
    case ScalarType::kI16:
      return static_cast<std::int16_t>(bits);
    case ScalarType::kI32:
      return static_cast<std::int32_t>(bits);
    default:
      return static_cast<std::int64_t>(bits);
  }
}

double Scalar::as_double() const {
  if (type == ScalarType::kF32)
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  if (type == ScalarType::kF64) return std::bit_cast<double>(bits);
  return 0;
}

Scalar load_scalar(ScalarType type, ByteView bytes, std::size_t offset) {
  switch (size_of(type)) {
    case 1:
      return {type, load_le<std::uint8_t>(bytes, offset)};
    case 2:
      return {type, load_le<std::uint16_t>(bytes, offset)};
    case 4:
      return {type, load_le<std::uint32_t>(bytes, offset)};
    default:
      return {type, load_le<std::uint64_t>(bytes, offset)};
  }
}

const Field* Object::find_field(std::string_view field_name) const {
  return find_by_name(fields, field_name);
}

const Attribute* Object::find_attribute(std::string_view attribute_name) const {
  return find_by_name(attributes, attribute_name);
}

const EnumValue* Enum::find_value(std::int64_t value) const {
  const auto found = std::lower_bound(values.begin(), values.end(), value,
                                      [](const EnumValue& a, std::int64_t b) { return a.value < b; });
  return found == values.end() || found->value != value ? nullptr : &*found;
}

const Object* SchemaModel::find_object(std::string_view name) const {
  return find_by_name(objects_, name);
}

const Enum* SchemaModel::find_enum(std::string_view name) const {
  return find_by_name(enums_, name);
}

std::uint32_t SchemaModel::inline_size(const Type& type) const {
  switch (type.kind) {
    case Kind::kScalar:
      return size_of(type.scalar);
    case Kind::kStruct:
      return object(type).size;
    case Kind::kString:
    case Kind::kTable:
    case Kind::kUnion:
      return 4;  // an offset
  }
  return 4;
}

std::uint32_t SchemaModel::inline_alignment(const Type& type) const {
  switch (type.kind) {
    case Kind::kScalar:
      return size_of(type.scalar);
    case Kind::kStruct:
      return object(type).alignment;
    case Kind::kString:
    case Kind::kTable:
    case Kind::kUnion:
      return 4;
  }
  return 4;
}

std::string SchemaModel::describe(const Type& type) const {
  std::string element;
  switch (type.kind) {
    case Kind::kScalar:
      element = type.enumeration != kNoIndex ? enumeration(type).name : std::string(to_string(type.scalar));
      break;
    case Kind::kString:
      element = "string";
      break;
    case Kind::kTable:
    case Kind::kStruct:
      element = object(type).name;
      break;
    case Kind::kUnion:
      element = enumeration(type).name;
      break;
  }
  switch (type.shape) {
    case Shape::kSingle:
      return element;
    case Shape::kVector:
      return fmt::format("[{}]", element);
    case Shape::kArray:
      return fmt::format("[{}:{}]", element, type.length);
  }
  return element;
}

}  // namespace vmsnap::reflect
