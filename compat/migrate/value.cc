// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/value.h"

#include <fmt/format.h>

#include "reflect/text_escape.h"
#include "snapshot/text.h"

namespace vmsnap::compat {
namespace {

using reflect::Field;
using reflect::Kind;
using reflect::kNoIndex;
using reflect::Object;
using reflect::Scalar;
using reflect::SchemaModel;
using reflect::Shape;

/// Appends until the budget is used up.
class Renderer {
 public:
  Renderer(const SchemaModel& model, std::size_t max_length) : model_(model), max_length_(max_length) {}

  void value(const Field& field, const Value& value) {
    if (value.is_null()) text_ += "absent";
    if (const Scalar* scalar = value.scalar()) number(field, *scalar);
    if (const std::string* text = value.text()) {
      text_ += '"';
      // Not less than max_length_, so that take() says where the text was cut.
      reflect::append_escaped(text_, cut_text(*text, max_length_ + 3));
      text_ += '"';
    }
    if (const Numbers* numbers = value.numbers()) {
      sequence(numbers->count(), [&](std::size_t i) { number(field, numbers->at(i)); });
    }
    if (const List* list = value.list()) {
      sequence(list->size(), [&](std::size_t i) { this->value(field, (*list)[i]); });
    }
    if (const Record* found = value.record()) record(*found);
  }

  std::string take() {
    if (text_.size() <= max_length_) return std::move(text_);
    return std::string(cut_text(text_, max_length_)) + " ...";
  }

 private:
  [[nodiscard]] bool full() const { return text_.size() > max_length_; }

  void number(const Field& field, Scalar value) {
    if (field.type.enumeration != kNoIndex) {
      const reflect::EnumValue* named = model_.enumeration(field.type).find_value(value.as_signed());
      if (named != nullptr) {
        text_ += named->name;
        return;
      }
    }
    if (value.type == reflect::ScalarType::kBool && value.bits <= 1) {
      text_ += value.bits == 1 ? "true" : "false";
    } else if (is_float(value.type)) {
      text_ += fmt::format("{}", value.as_double());
    } else if (field.hex || field.gpa || field.image) {
      text_ += fmt::format("{:#x}", value.bits);
    } else if (is_signed(value.type)) {
      text_ += fmt::format("{}", value.as_signed());
    } else {
      text_ += fmt::format("{}", value.bits);
    }
    if (!field.unit.empty() && field.type.shape == Shape::kSingle) {
      text_ += ' ';
      reflect::append_prose(text_, field.unit);
    }
  }

  template <typename Element>
  void sequence(std::size_t count, Element element) {
    text_ += '[';
    for (std::size_t i = 0; i < count && !full(); ++i) {
      if (i > 0) text_ += ", ";
      element(i);
    }
    text_ += ']';
  }

  void record(const Record& record) {
    text_ += '{';
    bool first = true;
    for (std::size_t i = 0; i < record.fields.size() && !full(); ++i) {
      const Field& field = record.type->fields[i];
      if (field.is_union_type || is_default(field, record.fields[i])) continue;
      if (!first) text_ += ", ";
      first = false;
      text_ += field.name + ": ";
      value(field, record.fields[i]);
    }
    text_ += '}';
  }

  const SchemaModel& model_;
  std::size_t max_length_;
  std::string text_;
};

}  // namespace

const Value* Record::find(std::string_view name) const {
  const Field* field = type->find_field(name);
  return field == nullptr ? nullptr : &fields[field->id];
}

Value* Record::find(std::string_view name) {
  const Field* field = type->find_field(name);
  return field == nullptr ? nullptr : &fields[field->id];
}

Value default_value(const Field& field) {
  const bool single_scalar = field.type.kind == Kind::kScalar && field.type.shape == Shape::kSingle;
  return single_scalar && !field.optional ? Value(field.default_value) : Value();
}

Record empty_record(const SchemaModel& model, const Object& type) {
  Record record{&type, {}};
  record.fields.reserve(type.fields.size());
  for (const Field& field : type.fields) {
    if (!type.is_struct) {
      record.fields.push_back(default_value(field));
    } else if (field.type.kind == Kind::kStruct) {
      const Value element(empty_record(model, model.object(field.type)));
      record.fields.push_back(field.type.shape == Shape::kArray ? Value(List(field.type.length, element))
                                                                : element);
    } else if (field.type.shape == Shape::kArray) {
      const std::size_t size = std::size_t{field.type.length} * size_of(field.type.scalar);
      record.fields.emplace_back(Numbers{field.type.scalar, ByteVector(size)});
    } else {
      record.fields.emplace_back(Scalar{field.type.scalar, 0});
    }
  }
  return record;
}

bool is_default(const Field& field, const Value& value) {
  if (value.is_null()) return true;
  if (const Scalar* scalar = value.scalar()) {
    return !field.optional && scalar->bits == field.default_value.bits;
  }
  if (const std::string* text = value.text()) return text->empty();
  if (const Numbers* numbers = value.numbers()) return numbers->bytes.empty();
  if (const List* list = value.list()) return list->empty();
  return false;
}

std::string render(const SchemaModel& model, const Field& field, const Value& value, std::size_t max_length) {
  Renderer renderer(model, max_length);
  renderer.value(field, value);
  return renderer.take();
}

}  // namespace vmsnap::compat
