// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/carry.h"

#include <algorithm>

namespace vmsnap::compat {
namespace {

using reflect::EnumValue;
using reflect::Field;
using reflect::Kind;
using reflect::kNoIndex;
using reflect::Object;
using reflect::Scalar;
using reflect::SchemaModel;
using reflect::Shape;

std::string_view enum_name(const SchemaModel& model, const reflect::Type& type) {
  return type.enumeration == kNoIndex ? std::string_view() : model.enumeration(type).name;
}

class Carrier {
 public:
  Carrier(const SchemaModel& source, const SchemaModel& target) : source_(source), target_(target) {}

  void record(Record& source, Record& target) {
    for (std::size_t i = 0; i < target.fields.size(); ++i) {
      const Field& to = target.type->fields[i];
      const Field* from = source.type->find_field(to.name);
      if (to.is_union_type || from == nullptr || !same_meaning(*from, to)) continue;
      Value& value = source.fields[from->id];
      if (to.type.kind == Kind::kUnion) {
        const bool copied = value.is_null() || union_member(*from, source, to, target);
        if (copied) mark(value, target.fields[i]);
      } else {
        single(*from, value, to, target.fields[i]);
      }
    }
  }

 private:
  [[nodiscard]] bool same_meaning(const Field& from, const Field& to) const {
    const reflect::Type& a = from.type;
    const reflect::Type& b = to.type;
    if (from.is_union_type || from.gpa != to.gpa || a.shape != b.shape || a.kind != b.kind ||
        a.length != b.length) {
      return false;
    }
    if (!from.unit.empty() && !to.unit.empty() && from.unit != to.unit) return false;
    switch (a.kind) {
      case Kind::kScalar:
        return a.scalar == b.scalar && enum_name(source_, a) == enum_name(target_, b);
      case Kind::kString:
        return true;
      case Kind::kTable:
      case Kind::kStruct:
        return source_.object(a).name == target_.object(b).name;
      case Kind::kUnion:
        return enum_name(source_, a) == enum_name(target_, b);
    }
    return false;
  }

  static void mark(Value& from, Value& to) {
    from.fate = Fate::kCarried;
    to.fate = Fate::kCarried;
  }

  void single(const Field& from, Value& value, const Field& to, Value& target) {
    if (value.is_null()) {
      if (target.is_null()) mark(value, target);
      return;
    }
    if (List* list = value.list()) {
      List copy;
      copy.reserve(list->size());
      for (Value& element : *list) {
        copy.emplace_back();
        if (Record* found = element.record()) {
          copy.back() = Value(empty_record(target_, target_.object(to.type)));
          record(*found, *copy.back().record());
        } else {
          copy.back() = element;
        }
        mark(element, copy.back());
      }
      target = Value(std::move(copy));
    } else if (Record* found = value.record()) {
      target = Value(empty_record(target_, target_.object(to.type)));
      record(*found, *target.record());
    } else {
      if (!has_name_in_target(from, value, to)) return;
      target = value;
    }
    mark(value, target);
  }

  /// False for enum values that only the source's schema has a name for.
  [[nodiscard]] bool has_name_in_target(const Field& from, const Value& value, const Field& to) const {
    if (from.type.enumeration == kNoIndex) return true;
    const auto keeps_name = [&](Scalar number) {
      return source_.enumeration(from.type).find_value(number.as_signed()) == nullptr ||
             target_.enumeration(to.type).find_value(number.as_signed()) != nullptr;
    };
    if (const Scalar* number = value.scalar()) return keeps_name(*number);
    const Numbers* numbers = value.numbers();
    for (std::size_t i = 0; numbers != nullptr && i < numbers->count(); ++i) {
      if (!keeps_name(numbers->at(i))) return false;
    }
    return true;
  }

  /// False when the target's schema does not know the member.
  bool union_member(const Field& from, Record& source, const Field& to, Record& target) {
    Record& found = *source.fields[from.id].record();
    const Scalar* discriminator = source.fields[from.id - 1u].scalar();
    const EnumValue* member = source_.enumeration(from.type).find_value(discriminator->as_signed());
    if (member == nullptr) return false;
    for (const EnumValue& candidate : target_.enumeration(to.type).values) {
      if (candidate.name != member->name || candidate.object == kNoIndex) continue;
      const Object& object = target_.objects()[candidate.object];
      if (object.name != found.type->name) return false;
      target.fields[to.id] = Value(empty_record(target_, object));
      record(found, *target.fields[to.id].record());
      const reflect::ScalarType type = target.type->fields[to.id - 1u].type.scalar;
      target.fields[to.id - 1u] = Value(Scalar{type, static_cast<std::uint64_t>(candidate.value)});
      return true;
    }
    return false;
  }

  const SchemaModel& source_;
  const SchemaModel& target_;
};

void reopen_value(Value& value) {
  value.fate = Fate::kOpen;
  if (List* list = value.list()) {
    for (Value& element : *list) reopen_value(element);
  } else if (Record* record = value.record()) {
    for (Value& field : record->fields) reopen_value(field);
  }
}

/// Calls `visit` for every value of a record, parts of tables and elements of lists included.
template <typename Visit>
void walk_record(const Record& record, const std::string& prefix, const Visit& visit);

template <typename Visit>
void walk_parts(const Value& value, const Field& field, const std::string& path, const Visit& visit) {
  if (const Record* record = value.record()) walk_record(*record, path + ".", visit);
  if (const List* list = value.list()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      walk_parts((*list)[i], field, path + "[" + std::to_string(i) + "]", visit);
    }
  }
}

template <typename Visit>
void walk_record(const Record& record, const std::string& prefix, const Visit& visit) {
  for (std::size_t i = 0; i < record.fields.size(); ++i) {
    const Field& field = record.type->fields[i];
    if (field.is_union_type) continue;
    const std::string path = prefix + field.name;
    visit(path, field, record.fields[i]);
    walk_parts(record.fields[i], field, path, visit);
  }
}

class AppendedFields {
 public:
  AppendedFields(const SchemaModel& older, const SchemaModel& newer) : older_(older), newer_(newer) {}

  void compare(const Object& before, const Object& after, const std::string& prefix) {
    if (std::find(open_.begin(), open_.end(), &after) != open_.end()) return;
    open_.push_back(&after);
    for (const Field& field : after.fields) {
      if (field.is_union_type) continue;
      const std::string path = prefix + field.name;
      if (before.find_field(field.name) == nullptr) {
        found_.push_back(path);
        continue;
      }
      if (field.type.object != kNoIndex) compare_named(newer_.object(field.type), path);
      if (field.type.kind != Kind::kUnion) continue;
      for (const EnumValue& member : newer_.enumeration(field.type).values) {
        if (member.object != kNoIndex) compare_named(newer_.objects()[member.object], path);
      }
    }
    open_.pop_back();
  }

  std::vector<std::string> take() { return std::move(found_); }

 private:
  void compare_named(const Object& after, const std::string& path) {
    const Object* before = older_.find_object(after.name);
    if (before != nullptr) compare(*before, after, path + ".");
  }

  const SchemaModel& older_;
  const SchemaModel& newer_;
  std::vector<const Object*> open_;
  std::vector<std::string> found_;
};

}  // namespace

void carry(StateTree& source, StateTree& target) {
  Carrier(source.model(), target.model()).record(source.root(), target.root());
}

void reopen(StateTree& tree) {
  for (Value& value : tree.root().fields) reopen_value(value);
}

std::string without_indices(std::string_view path) {
  std::string text;
  bool inside = false;
  for (const char c : path) {
    if (c == '[') inside = true;
    if (!inside) text += c;
    if (c == ']') inside = false;
  }
  return text;
}

void for_each_match(const StateTree& tree, std::string_view pattern,
                    const std::function<void(const std::string&, const Field&, const Value&)>& visit) {
  walk_record(tree.root(), "", [&](const std::string& path, const Field& field, const Value& value) {
    if (without_indices(path) == pattern) visit(path, field, value);
  });
}

std::vector<std::string> appended_fields(const SchemaModel& older, const SchemaModel& newer) {
  AppendedFields fields(older, newer);
  fields.compare(older.root(), newer.root(), "");
  return fields.take();
}

}  // namespace vmsnap::compat
