// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/state_tree.h"

#include <fmt/format.h>

#include <charconv>

namespace vmsnap::compat {
namespace {

using reflect::Field;
using reflect::Kind;
using reflect::Object;
using reflect::Scalar;
using reflect::SchemaModel;
using reflect::Shape;

/// A name or an index of a path.
struct PathPart {
  std::string_view name;  // empty: an element
  std::size_t index = 0;
};

/// Takes the first part off the path; nullopt when it is malformed.
std::optional<PathPart> next_part(std::string_view& path) {
  if (path.starts_with('[')) {
    PathPart part;
    const char* end = path.data() + path.size();
    const auto [stop, error] = std::from_chars(path.data() + 1, end, part.index);
    if (error != std::errc() || stop == end || *stop != ']') return std::nullopt;
    path.remove_prefix(static_cast<std::size_t>(stop - path.data()) + 1);
    if (path.starts_with('.') && path.size() > 1) path.remove_prefix(1);
    return part;
  }
  const PathPart part{path.substr(0, path.find_first_of(".[")), 0};
  path.remove_prefix(part.name.size());
  if (path.starts_with('.') && path.size() > 1) path.remove_prefix(1);
  if (part.name.empty()) return std::nullopt;
  return part;
}

Error wrong_path(const SchemaModel& model, std::string_view path, std::string_view why) {
  return Error(ErrorKind::kInternal,
               fmt::format("a conversion step names \"{}\" in {}, but {}; correct the step", path,
                           model.root().name, why))
      .in_field(path);
}

bool is_list(const Field& field) {
  return field.type.shape != Shape::kSingle && field.type.kind != Kind::kScalar;
}

bool is_numbers(const Field& field) {
  return field.type.shape != Shape::kSingle && field.type.kind == Kind::kScalar;
}

/// A value of that type that exists and is empty. The type is no union and no optional number.
Value empty_value(const SchemaModel& model, const Field& field, bool of_element) {
  if (is_numbers(field)) return Value(Numbers{field.type.scalar, {}});
  if (is_list(field) && !of_element) return Value(List());
  if (field.type.kind == Kind::kString) return Value(std::string());
  return Value(empty_record(model, model.object(field.type)));
}

/// Sees the schema through the parts of a path, with or without values.
const Object* object_of(const SchemaModel& model, const Field& field) {
  const bool has_object = field.type.kind == Kind::kTable || field.type.kind == Kind::kStruct;
  return has_object ? &model.object(field.type) : nullptr;
}

}  // namespace

StateTree::StateTree(const SchemaModel& model) : model_(&model), root_(empty_record(model, model.root())) {}

Result<StateTree::Place> StateTree::find(std::string_view path) const {
  std::string_view rest = path;
  const Record* record = &root_;           // nullptr: the way is absent
  const Object* object = &model_->root();  // nullptr: not known, or no table
  Place place;
  const Value* list = nullptr;
  bool in_list = false;
  while (true) {
    const auto part = next_part(rest);
    if (!part) return wrong_path(*model_, path, "that is no path");
    if (part->name.empty()) {
      if (!in_list) return wrong_path(*model_, path, "there is no list before the index");
      in_list = false;
      const Field& field = *place.field;
      if (list == nullptr || list->is_null()) {
        place.value = nullptr;
      } else if (const Numbers* numbers = list->numbers()) {
        if (part->index >= numbers->count()) {
          return wrong_path(*model_, path, fmt::format("there are {} elements", numbers->count()));
        }
        place.number = part->index;
        place.owner = list;
        place.value = nullptr;
      } else {
        const List& elements = *list->list();
        if (part->index >= elements.size()) {
          return wrong_path(*model_, path, fmt::format("there are {} elements", elements.size()));
        }
        place.value = &elements[part->index];
      }
      record = place.value == nullptr ? nullptr : place.value->record();
      object = record != nullptr ? record->type : object_of(*model_, field);
    } else {
      if (object == nullptr) {
        // A union that holds nothing: which fields it would have is open.
        const bool open =
            place.field != nullptr && place.field->type.kind == Kind::kUnion && record == nullptr;
        if (!open) return wrong_path(*model_, path, "a value without fields comes before the last dot");
        return Place{place.field, nullptr, {}, nullptr};
      }
      const Field* field = object->find_field(part->name);
      if (field == nullptr) {
        return wrong_path(*model_, path, fmt::format("{} has no field \"{}\"", object->name, part->name));
      }
      place = Place{field, record == nullptr ? nullptr : &record->fields[field->id], {}, nullptr};
      in_list = field->type.shape != Shape::kSingle;
      list = in_list ? place.value : nullptr;
      record = place.value == nullptr ? nullptr : place.value->record();
      object = in_list ? nullptr : record != nullptr ? record->type : object_of(*model_, *field);
    }
    if (rest.empty()) return place;
  }
}

Result<Value*> StateTree::find_to_set(std::string_view path) {
  // Absent tables on the way come first, from the root on.
  for (std::size_t at = 0; at < path.size(); ++at) {
    if (path[at] != '.') continue;
    const std::string_view before = path.substr(0, at);
    VMSNAP_ASSIGN_OR_RETURN(const Place place, find(before));
    if (place.value == nullptr || !place.value->is_null()) continue;
    if (place.field->type.kind != Kind::kTable) {
      return wrong_path(*model_, path, fmt::format("\"{}\" holds nothing yet", before));
    }
    Value made = empty_value(*model_, *place.field, false);
    made.fate = Fate::kSet;
    *const_cast<Value*>(place.value) = std::move(made);
  }
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.value == nullptr) return wrong_path(*model_, path, "single numbers of a vector are not set");
  if (place.field->is_union_type) return wrong_path(*model_, path, "a union is set through its own field");
  return const_cast<Value*>(place.value);
}

Error StateTree::absent(std::string_view path) const {
  return Error(ErrorKind::kCorrupt, "the state lacks the value, without which it cannot be converted")
      .in_field(path);
}

Error StateTree::does_not_fit(std::string_view path, std::string_view what) const {
  return wrong_path(*model_, path, what);
}

Result<std::optional<Scalar>> StateTree::number_at(std::string_view path) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.field->type.kind == Kind::kUnion && place.value == nullptr) return std::optional<Scalar>();
  if (place.field->type.kind != Kind::kScalar ||
      (place.field->type.shape != Shape::kSingle && place.value != nullptr)) {
    return wrong_path(*model_, path, "it is no number");
  }
  if (place.number) return std::optional<Scalar>(place.owner->numbers()->at(*place.number));
  if (place.value == nullptr || place.value->is_null()) return std::optional<Scalar>();
  return std::optional<Scalar>(*place.value->scalar());
}

Result<std::optional<std::string>> StateTree::text_at(std::string_view path) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.value == nullptr || place.value->is_null()) return std::optional<std::string>();
  if (place.value->text() == nullptr) return wrong_path(*model_, path, "it is no text");
  return std::optional<std::string>(*place.value->text());
}

Result<const Numbers*> StateTree::numbers_at(std::string_view path, std::size_t element_size) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (!is_numbers(*place.field) || place.number)
    return wrong_path(*model_, path, "it is no vector of numbers");
  if (size_of(place.field->type.scalar) != element_size) {
    return wrong_path(*model_, path, fmt::format("its numbers do not have {} bytes", element_size));
  }
  return place.value == nullptr ? nullptr : place.value->numbers();
}

Result<bool> StateTree::has(std::string_view path) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  return place.number.has_value() || (place.value != nullptr && !place.value->is_null());
}

Result<std::size_t> StateTree::count(std::string_view path) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.field->type.shape == Shape::kSingle) return wrong_path(*model_, path, "it is no list");
  if (place.value == nullptr || place.value->is_null()) return std::size_t{0};
  if (const Numbers* numbers = place.value->numbers()) return numbers->count();
  if (const List* list = place.value->list()) return list->size();
  return wrong_path(*model_, path, "it is no list");
}

Result<void> StateTree::set_number(std::string_view path, bool negative, std::uint64_t bits, bool is_bool) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  const Field& field = *place.field;
  const reflect::ScalarType type = field.type.scalar;
  const bool of_bool = type == reflect::ScalarType::kBool;
  if (field.type.kind != Kind::kScalar || field.type.shape != Shape::kSingle || is_float(type) ||
      of_bool != is_bool) {
    return wrong_path(*model_, path, "it takes another kind of value");
  }
  const std::uint32_t width = 8 * size_of(type);
  const std::uint64_t mask = width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
  const Scalar stored{type, bits & mask};
  const bool same_sign = is_signed(type) ? (stored.as_signed() < 0) == negative : !negative;
  const bool same_bits =
      is_signed(type) ? static_cast<std::uint64_t>(stored.as_signed()) == bits : stored.bits == bits;
  if (!same_sign || !same_bits) {
    return wrong_path(
        *model_, path,
        fmt::format("{} does not fit into it",
                    negative ? fmt::format("{}", static_cast<std::int64_t>(bits)) : fmt::format("{}", bits)));
  }
  *value = Value(stored);
  value->fate = Fate::kSet;
  return {};
}

Result<void> StateTree::set_text(std::string_view path, std::string text) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  const bool whole_list = is_list(*place.field) && (value->is_null() || value->list() != nullptr);
  if (place.field->type.kind != Kind::kString || whole_list) {
    return wrong_path(*model_, path, "it takes another kind of value");
  }
  *value = Value(std::move(text));
  value->fate = Fate::kSet;
  return {};
}

Result<void> StateTree::set_numbers(std::string_view path, std::size_t element_size, ByteVector bytes) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  const reflect::Type& type = place.field->type;
  if (!is_numbers(*place.field) || size_of(type.scalar) != element_size) {
    return wrong_path(*model_, path, fmt::format("it takes no numbers of {} bytes", element_size));
  }
  if (type.shape == Shape::kArray && bytes.size() != std::size_t{type.length} * element_size) {
    return wrong_path(*model_, path, fmt::format("it takes {} numbers", type.length));
  }
  *value = Value(Numbers{type.scalar, std::move(bytes)});
  value->fate = Fate::kSet;
  return {};
}

Result<void> StateTree::clear(std::string_view path) {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.value == nullptr && !place.number) return {};
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  if (path.ends_with(']')) return wrong_path(*model_, path, "an element cannot be absent");
  const std::size_t dot = path.rfind('.');
  Record* owner = &root_;
  if (dot != std::string_view::npos) {
    VMSNAP_ASSIGN_OR_RETURN(Value * parent, find_to_set(path.substr(0, dot)));
    owner = parent->record();
  }
  if (owner->type->is_struct) return wrong_path(*model_, path, "a field of a struct cannot be absent");
  *value = default_value(*place.field);
  value->fate = Fate::kSet;
  if (place.field->type.kind == Kind::kUnion) {
    const Field& discriminator = owner->type->fields[place.field->id - 1u];
    owner->fields[discriminator.id] = default_value(discriminator);
  }
  return {};
}

Result<void> StateTree::make(std::string_view path) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.field->type.kind == Kind::kUnion ||
      (value->is_null() && value->scalar() == nullptr && place.field->type.kind == Kind::kScalar &&
       place.field->type.shape == Shape::kSingle)) {
    return wrong_path(*model_, path, "there is no empty value for it");
  }
  if (value->is_null()) *value = empty_value(*model_, *place.field, false);
  value->fate = Fate::kSet;
  return {};
}

Result<void> StateTree::make_member(std::string_view path, std::string_view member) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (place.field->type.kind != Kind::kUnion) return wrong_path(*model_, path, "it is no union");
  for (const reflect::EnumValue& known : model_->enumeration(place.field->type).values) {
    if (known.name != member || known.object == reflect::kNoIndex) continue;
    const std::size_t dot = path.rfind('.');
    Record* owner = &root_;
    if (dot != std::string_view::npos) {
      VMSNAP_ASSIGN_OR_RETURN(Value * parent, find_to_set(path.substr(0, dot)));
      owner = parent->record();
    }
    *value = Value(empty_record(*model_, model_->objects()[known.object]));
    value->fate = Fate::kSet;
    const Field& discriminator = owner->type->fields[place.field->id - 1u];
    owner->fields[discriminator.id] =
        Value(Scalar{discriminator.type.scalar, static_cast<std::uint64_t>(known.value)});
    return {};
  }
  return wrong_path(*model_, path, fmt::format("the union has no member \"{}\"", member));
}

Result<std::size_t> StateTree::append(std::string_view path) {
  VMSNAP_ASSIGN_OR_RETURN(Value * value, find_to_set(path));
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(path));
  if (!is_list(*place.field) || place.field->type.shape != Shape::kVector || path.ends_with(']')) {
    return wrong_path(*model_, path, "it is no list of texts, tables or structs");
  }
  if (value->is_null()) *value = Value(List());
  value->fate = Fate::kSet;
  List& list = *value->list();
  list.push_back(empty_value(*model_, *place.field, true));
  list.back().fate = Fate::kSet;
  return list.size() - 1;
}

}  // namespace vmsnap::compat
