// SPDX-License-Identifier: BSD-2-Clause
// The values that a device state consists of, when no generated header of the device is at hand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "reflect/schema_model.h"

namespace vmsnap::compat {

class Value;

/// A vector or array of numbers.
struct Numbers {
  reflect::ScalarType type = reflect::ScalarType::kU8;
  ByteVector bytes;  // little-endian, whole numbers

  [[nodiscard]] std::size_t count() const { return bytes.size() / reflect::size_of(type); }
  [[nodiscard]] reflect::Scalar at(std::size_t index) const {
    return reflect::load_scalar(type, bytes, index * reflect::size_of(type));
  }
  bool operator==(const Numbers&) const = default;
};

/// A table or a struct. A union is the table of its member; which one, says the discriminator, a field of its
/// own right before the union.
struct Record {
  const reflect::Object* type = nullptr;  // of the model of the tree; never null
  std::vector<Value> fields;              // in order of id, one for each field of `type`

  /// nullptr when `type` has no field of that name.
  [[nodiscard]] const Value* find(std::string_view name) const;
  [[nodiscard]] Value* find(std::string_view name);
};

/// A vector or array of strings, tables or structs.
using List = std::vector<Value>;

/// What has become of a value in a step (see StepContext). On values of a step's source and target only.
enum class Fate : std::uint8_t {
  kOpen,     // nobody has looked at it, or only at parts of it
  kCarried,  // of a source: copied as it is; of a target: copied from the source
  kTaken,    // of a source: the step has taken it, with all its parts
  kLost,     // of a source: the step has declared it lost
  kSet,      // of a target: the step has set it
};

/// Absence, or one value. A scalar without `= null` is never absent: where the data stores none, it is the
/// default.
class Value {
 public:
  Value() = default;
  explicit Value(reflect::Scalar scalar) : content_(scalar) {}
  explicit Value(std::string text) : content_(std::move(text)) {}
  explicit Value(Numbers numbers) : content_(std::move(numbers)) {}
  explicit Value(List list);
  explicit Value(Record record);

  /// True for absence.
  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(content_); }

  /// nullptr when the value is of another kind.
  [[nodiscard]] const reflect::Scalar* scalar() const { return std::get_if<reflect::Scalar>(&content_); }
  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&content_); }
  [[nodiscard]] const Numbers* numbers() const { return std::get_if<Numbers>(&content_); }
  [[nodiscard]] const List* list() const { return std::get_if<List>(&content_); }
  [[nodiscard]] const Record* record() const { return std::get_if<Record>(&content_); }
  [[nodiscard]] List* list() { return std::get_if<List>(&content_); }
  [[nodiscard]] Record* record() { return std::get_if<Record>(&content_); }

  Fate fate = Fate::kOpen;

 private:
  std::variant<std::monostate, reflect::Scalar, std::string, Numbers, List, Record> content_;
};

inline Value::Value(List list) : content_(std::move(list)) {}
inline Value::Value(Record record) : content_(std::move(record)) {}

/// What a field holds that nobody has set: its default, or absence.
[[nodiscard]] Value default_value(const reflect::Field& field);

/// A record in which nobody has set anything. Structs are complete, with zeros; arrays have their length.
[[nodiscard]] Record empty_record(const reflect::SchemaModel& model, const reflect::Object& type);

/// True when the field tells no more than an absent one would: the default, absence, an empty text or list.
[[nodiscard]] bool is_default(const reflect::Field& field, const Value& value);

/// The value for a sentence, in printable ASCII or safe UTF-8: "0x41", "[1, 2, 3]", "{base: 0xfee00000,
/// ...}". Cut to about `max_length` bytes, which " ..." then says.
[[nodiscard]] std::string render(const reflect::SchemaModel& model, const reflect::Field& field,
                                 const Value& value, std::size_t max_length = 100);

}  // namespace vmsnap::compat
