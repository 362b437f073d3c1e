// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/evolution.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <set>

namespace vmsnap::reflect {
namespace {

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
};

std::optional<Version> version_of(const SchemaModel& model) {
  const Attribute* attribute = model.root().find_attribute("chunk_version");
  if (attribute == nullptr) return std::nullopt;
  const std::string& text = attribute->value;
  const char* end = text.data() + text.size();
  Version version;
  const auto major = std::from_chars(text.data(), end, version.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
  if (minor.ec != std::errc() || minor.ptr != end) return std::nullopt;
  return version;
}

std::string attribute_of(const Object& object, std::string_view name) {
  const Attribute* attribute = object.find_attribute(name);
  return attribute == nullptr ? "" : attribute->value;
}

class Comparison {
 public:
  Comparison(const SchemaModel& frozen, const SchemaModel& current) : frozen_(frozen), current_(current) {}

  std::vector<EvolutionViolation> run() {
    compare_roots();
    compare_reachable(frozen_.root());
    compare_versions();
    return std::move(violations_);
  }

 private:
  template <typename... Args>
  void violate(std::string where, fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back({std::move(where), fmt::format(format, std::forward<Args>(args)...)});
  }

  void compare_roots() {
    const std::string& name = frozen_.root().name;
    if (current_.root().name != name) {
      violate(name, "the root table was {} and is {}; keep its name and namespace", name,
              current_.root().name);
    }
    if (current_.file_identifier() != frozen_.file_identifier()) {
      violate(name, "the file identifier was \"{}\" and is \"{}\"; keep it", frozen_.file_identifier(),
              current_.file_identifier());
    }
    const std::string before = attribute_of(frozen_.root(), "chunk_name");
    const std::string after = attribute_of(current_.root(), "chunk_name");
    if (before != after) violate(name, "chunk_name was \"{}\" and is \"{}\"; keep it", before, after);
  }

  void compare_versions() {
    const std::string& name = frozen_.root().name;
    const auto before = version_of(frozen_);
    const auto after = version_of(current_);
    if (!before && !after) return;
    if (!before || !after) {
      violate(name, "chunk_version is missing or is no \"major.minor\"; state it on the root table");
    } else if (before->major != after->major) {
      violate(name, "chunk_version was {}.{} and is {}.{}; compare only versions of one major", before->major,
              before->minor, after->major, after->minor);
    } else if (after->minor < before->minor) {
      violate(name, "chunk_version went back from {}.{} to {}.{}; never lower it", before->major,
              before->minor, after->major, after->minor);
    } else if (!first_addition_.empty() && after->minor == before->minor) {
      violate(first_addition_, "was added to version {}.{}, which is frozen; raise chunk_version to {}.{}",
              before->major, before->minor, before->major, before->minor + 1);
    }
  }

  void added(std::string what) {
    if (first_addition_.empty()) first_addition_ = std::move(what);
  }

  /// Compares the object and all that it leads to; each once. A list of what is open, not recursion: schemas
  /// may form long chains.
  void compare_reachable(const Object& root) {
    open_.push_back(&root);
    while (!open_.empty()) {
      const Object& before = *open_.back();
      open_.pop_back();
      if (!seen_.insert(before.name).second) continue;
      const Object* after = current_.find_object(before.name);
      if (after == nullptr) {
        violate(before.name, "the {} is gone; keep it", before.is_struct ? "struct" : "table");
      } else {
        compare_objects(before, *after);
      }
      for (const Field& field : before.fields) reach(field.type);
    }
  }

  void reach(const Type& type) {
    if (type.object != kNoIndex) open_.push_back(&frozen_.object(type));
    if (type.enumeration == kNoIndex) return;
    const Enum& before = frozen_.enumeration(type);
    for (const EnumValue& value : before.values) {
      if (value.object != kNoIndex) open_.push_back(&frozen_.objects()[value.object]);
    }
    if (!seen_.insert(before.name).second) return;
    const Enum* after = current_.find_enum(before.name);
    if (after == nullptr) {
      violate(before.name, "the {} is gone; keep it", before.is_union ? "union" : "enum");
    } else {
      compare_enums(before, *after);
    }
  }

  void compare_objects(const Object& before, const Object& after) {
    if (before.is_struct != after.is_struct) {
      violate(before.name, "was a {} and is a {}; keep what it was", before.is_struct ? "struct" : "table",
              after.is_struct ? "struct" : "table");
      return;
    }
    if (before.is_struct && (before.size != after.size || before.alignment != after.alignment ||
                             before.fields.size() != after.fields.size())) {
      violate(before.name,
              "the struct had {} fields in {} bytes aligned to {} and has {} in {} aligned to {}; a struct "
              "can never "
              "change, make a new one",
              before.fields.size(), before.size, before.alignment, after.fields.size(), after.size,
              after.alignment);
    }
    for (std::size_t i = 0; i < before.fields.size(); ++i) {
      if (i < after.fields.size()) {
        compare_fields(before, before.fields[i], after.fields[i]);
      } else if (!before.is_struct) {
        violate(before.name + "." + before.fields[i].name, "field {} is gone; mark it deprecated instead", i);
      }
    }
    if (before.is_struct) return;
    for (std::size_t i = before.fields.size(); i < after.fields.size(); ++i) {
      const Field& field = after.fields[i];
      const std::string where = before.name + "." + field.name;
      added(where);
      if (field.required) {
        violate(
            where,
            "the new field is required, which data of earlier versions cannot satisfy; drop \"required\"");
      }
    }
  }

  void compare_fields(const Object& owner, const Field& before, const Field& after) {
    const std::string where = owner.name + "." + before.name;
    if (before.name != after.name) {
      violate(where,
              "field {} is now called {}; names are what paths, JSON and conversion steps use, keep it",
              before.id, after.name);
    }
    const std::string type_before = frozen_.describe(before.type);
    const std::string type_after = current_.describe(after.type);
    if (type_before != type_after || before.is_union_type != after.is_union_type) {
      violate(where, "was of type {} and is of type {}; append a new field instead", type_before, type_after);
      return;
    }
    if (owner.is_struct && before.offset != after.offset) {
      violate(where, "moved from byte {} to byte {} of its struct; a struct can never change", before.offset,
              after.offset);
    }
    if (before.default_value.bits != after.default_value.bits) {
      violate(where,
              "its default changed from {} to {}; data that leaves it out would change its meaning, keep it",
              describe_default(before), describe_default(after));
    }
    if (before.optional != after.optional) {
      violate(where, "{} \"= null\"; absence would change its meaning, keep it as it was",
              after.optional ? "gained" : "lost");
    }
    if (before.required != after.required) {
      violate(where, "{} \"required\"; {}", after.required ? "gained" : "lost",
              after.required ? "data of earlier versions may lack it"
                             : "readers of earlier versions insist on it");
    }
    if (before.deprecated && !after.deprecated) {
      violate(where, "was deprecated and is in use again; append a new field instead");
    }
    if (before.gpa != after.gpa)
      violate(where, "{} the attribute (gpa), which is part of its meaning; keep it",
              after.gpa ? "gained" : "lost");
    if (!before.unit.empty() && before.unit != after.unit) {
      violate(where, "its unit was \"{}\" and is \"{}\"; append a new field instead", before.unit,
              after.unit);
    }
  }

  static std::string describe_default(const Field& field) {
    if (is_float(field.type.scalar)) return fmt::format("{}", field.default_value.as_double());
    if (is_signed(field.type.scalar)) return fmt::format("{}", field.default_value.as_signed());
    return fmt::format("{}", field.default_value.bits);
  }

  void compare_enums(const Enum& before, const Enum& after) {
    if (before.is_union != after.is_union || before.underlying != after.underlying) {
      violate(before.name, "was {} of {} and is {} of {}; keep it", before.is_union ? "a union" : "an enum",
              to_string(before.underlying), after.is_union ? "a union" : "an enum",
              to_string(after.underlying));
    }
    for (const EnumValue& value : before.values) {
      const std::string where = before.name + "." + value.name;
      const EnumValue* same = after.find_value(value.value);
      if (same == nullptr) {
        violate(where, "the value {} is gone; keep it", value.value);
        continue;
      }
      if (same->name != value.name) {
        violate(where, "the value {} is now called {}; keep its name and give new meanings new values",
                value.value, same->name);
      }
      const std::string member_before = value.object == kNoIndex ? "" : frozen_.objects()[value.object].name;
      const std::string member_after = same->object == kNoIndex ? "" : current_.objects()[same->object].name;
      if (member_before != member_after) {
        violate(where, "the union member was {} and is {}; append a new member instead", member_before,
                member_after);
      }
    }
    for (const EnumValue& value : after.values) {
      if (before.find_value(value.value) == nullptr) added(before.name + "." + value.name);
    }
  }

  const SchemaModel& frozen_;
  const SchemaModel& current_;
  std::vector<EvolutionViolation> violations_;
  std::vector<const Object*> open_;
  std::set<std::string> seen_;
  std::string first_addition_;
};

}  // namespace

std::vector<EvolutionViolation> check_evolution(const SchemaModel& frozen, const SchemaModel& current) {
  return Comparison(frozen, current).run();
}

}  // namespace vmsnap::reflect
