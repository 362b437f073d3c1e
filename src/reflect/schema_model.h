// SPDX-License-Identifier: BSD-2-Clause
// What a binary FlatBuffers schema (.bfbs) says, checked and in memory of our own. Schemas come out of
// snapshot files and are hostile: nothing here trusts one before it has been checked (docs/security.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "reflect/limits.h"

namespace vmsnap::reflect {

inline constexpr std::uint32_t kNoIndex = 0xffffffff;

enum class ScalarType : std::uint8_t { kBool, kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kF32, kF64 };

/// Bytes of a value of that type; also its alignment.
[[nodiscard]] std::uint32_t size_of(ScalarType type);
[[nodiscard]] bool is_signed(ScalarType type);  // signed integers only
[[nodiscard]] bool is_float(ScalarType type);
/// The name in the schema language: "ubyte", "long".
[[nodiscard]] std::string_view to_string(ScalarType type);

/// A number, kept as the bits that are stored (little-endian, zero-extended to 64).
struct Scalar {
  ScalarType type = ScalarType::kU8;
  std::uint64_t bits = 0;

  [[nodiscard]] std::uint64_t as_unsigned() const { return bits; }
  /// Sign-extended when the type is signed; the bits themselves when it is not.
  [[nodiscard]] std::int64_t as_signed() const;
  /// The number of a float type; 0 for others.
  [[nodiscard]] double as_double() const;
};

/// Reads the number at `offset`; the caller has checked that `bytes` reaches that far.
[[nodiscard]] Scalar load_scalar(ScalarType type, ByteView bytes, std::size_t offset);

enum class Kind : std::uint8_t { kScalar, kString, kTable, kStruct, kUnion };
/// kVector: any number of elements, held apart; kArray: a fixed number, inside a struct.
enum class Shape : std::uint8_t { kSingle, kVector, kArray };

/// Type of a field. For vectors and arrays, `kind`, `scalar`, `object` and `enumeration` are the element's.
struct Type {
  Shape shape = Shape::kSingle;
  Kind kind = Kind::kScalar;
  ScalarType scalar = ScalarType::kU8;   // when kind is kScalar
  std::uint32_t object = kNoIndex;       // index into objects() when kind is kTable or kStruct
  std::uint32_t enumeration = kNoIndex;  // index into enums(); always when kind is kUnion
  std::uint32_t length = 0;              // elements of a kArray
};

struct Attribute {
  std::string name;
  std::string value;  // empty when the attribute stands alone; valid UTF-8, unsanitised
};

struct Field {
  std::string name;  // an identifier: letters, digits and underscore
  std::uint16_t id = 0;
  std::uint32_t offset = 0;  // of a table: byte offset of its slot in the vtable; of a struct: of the value
  Type type;
  Scalar default_value;               // of a single scalar that is not optional
  bool optional = false;              // a scalar whose absence is a value of its own (`= null`)
  bool required = false;              // data without the field is refused
  bool deprecated = false;            // no longer written
  bool is_union_type = false;         // the hidden discriminator of the union in the next field
  bool hex = false;                   // attribute (hex): show in hexadecimal
  bool gpa = false;                   // attribute (gpa): a guest physical address
  bool image = false;                 // attribute (image): opaque bytes
  std::string unit;                   // attribute (unit: "..."); valid UTF-8, unsanitised
  std::vector<Attribute> attributes;  // all of them, in order of name
  std::string documentation;          // lines joined by '\n'; valid UTF-8, unsanitised
};

/// A table or a struct.
struct Object {
  std::string name;  // fully qualified, "vmsnap.schema.Uart16550"
  bool is_struct = false;
  std::uint32_t alignment = 1;  // of a struct: bytes, a power of two
  std::uint32_t size = 0;       // of a struct: bytes, never 0
  std::vector<Field> fields;    // in order of id, which is dense from 0
  std::vector<Attribute> attributes;
  std::string documentation;

  /// nullptr when there is none of that name.
  [[nodiscard]] const Field* find_field(std::string_view field_name) const;
  [[nodiscard]] const Attribute* find_attribute(std::string_view attribute_name) const;
};

struct EnumValue {
  std::string name;
  std::int64_t value = 0;           // the bits of an unsigned 64-bit value are kept
  std::uint32_t object = kNoIndex;  // of a union: index of the member's table; kNoIndex for NONE
  std::string documentation;
};

/// An enumeration, or the members of a union.
struct Enum {
  std::string name;  // fully qualified
  bool is_union = false;
  ScalarType underlying = ScalarType::kU8;
  std::vector<EnumValue> values;  // in rising order of `value` taken as signed, no value twice
  std::string documentation;

  /// nullptr when no name stands for that value: data from a newer writer.
  [[nodiscard]] const EnumValue* find_value(std::int64_t value) const;
};

/// A checked schema. Immutable after load(), so it may be shared between threads; the views and pointers it
/// returns live as long as it does, also when it is moved.
class SchemaModel {
 public:
  /// Checks `bfbs` (the output of `flatc --schema -b`) completely and copies what is needed; the bytes need
  /// no alignment and may go away afterwards. Time and memory are proportional to the size.
  /// Errors: LimitExceeded (larger than max_schema_size, or structs nested deeper than max_depth), Corrupt,
  /// Unsupported (a feature of the schema language that state may not use: vectors of unions, union members
  /// that are no tables, 64-bit offsets, anything newer).
  [[nodiscard]] static Result<SchemaModel> load(ByteView bfbs, const Limits& limits = {});

  [[nodiscard]] const std::vector<Object>& objects() const& { return objects_; }
  [[nodiscard]] const std::vector<Enum>& enums() const& { return enums_; }
  [[nodiscard]] const Object& root() const& { return objects_[root_]; }
  /// Four letters that data carries at byte 4; empty when the schema declares none.
  [[nodiscard]] const std::string& file_identifier() const& { return file_identifier_; }
  void objects() && = delete;
  void enums() && = delete;
  void root() && = delete;
  void file_identifier() && = delete;

  /// The object or enumeration of a type that has one; the caller has looked at `kind`.
  [[nodiscard]] const Object& object(const Type& type) const { return objects_[type.object]; }
  [[nodiscard]] const Enum& enumeration(const Type& type) const { return enums_[type.enumeration]; }
  /// nullptr when there is none of that fully qualified name.
  [[nodiscard]] const Object* find_object(std::string_view name) const;
  [[nodiscard]] const Enum* find_enum(std::string_view name) const;

  /// Bytes and alignment of one value of that kind where it is stored; of strings, tables and unions, those
  /// of the offset that leads to them. The shape does not matter.
  [[nodiscard]] std::uint32_t inline_size(const Type& type) const;
  [[nodiscard]] std::uint32_t inline_alignment(const Type& type) const;

  /// The type in the schema language: "[vmsnap.schema.Msr]", "ulong".
  [[nodiscard]] std::string describe(const Type& type) const;

 private:
  friend class SchemaLoader;
  SchemaModel() = default;

  std::vector<Object> objects_;
  std::vector<Enum> enums_;
  std::uint32_t root_ = 0;
  std::string file_identifier_;
};

}  // namespace vmsnap::reflect
