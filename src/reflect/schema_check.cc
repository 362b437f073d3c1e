// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "reflect/schema_loader.h"

namespace vmsnap::reflect {
namespace {

template <typename... Args>
Error damaged(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kCorrupt, "the schema is damaged: " + fmt::format(format, std::forward<Args>(args)...)};
}

/// Fields stand in order of id, each aligned, behind one another and inside the struct.
Result<void> check_layout(const SchemaModel& model, const Object& object) {
  if (object.fields.empty()) return damaged("the struct {} has no fields", object.name);
  std::uint64_t end = 0;
  for (const Field& field : object.fields) {
    const std::uint64_t count = field.type.shape == Shape::kArray ? field.type.length : 1;
    const std::uint32_t alignment = model.inline_alignment(field.type);
    if (field.offset < end || field.offset % alignment != 0 || alignment > object.alignment) {
      return damaged("the field {}.{} overlaps another or is not aligned", object.name, field.name);
    }
    end = field.offset + count * model.inline_size(field.type);
    if (end > object.size)
      return damaged("the field {}.{} reaches beyond its struct", object.name, field.name);
  }
  return {};
}

/// Each union is preceded by its discriminator, and each discriminator is followed by its union.
Result<void> check_unions(const Object& object) {
  for (std::size_t i = 0; i < object.fields.size(); ++i) {
    const Field& field = object.fields[i];
    if (field.type.kind == Kind::kUnion &&
        (i == 0 || !object.fields[i - 1].is_union_type ||
         object.fields[i - 1].type.enumeration != field.type.enumeration)) {
      return damaged("the union {}.{} does not follow its discriminator", object.name, field.name);
    }
    if (field.is_union_type &&
        (i + 1 == object.fields.size() || object.fields[i + 1].type.kind != Kind::kUnion)) {
      return damaged("the discriminator {}.{} is not followed by its union", object.name, field.name);
    }
  }
  return {};
}

/// Finds structs that hold themselves, or that nest too deep. Each struct is looked at once.
class StructNesting {
 public:
  StructNesting(const SchemaModel& model, const Limits& limits)
      : model_(model), limits_(limits), height_(model.objects().size(), kUnseen) {}

  Result<void> check(std::uint32_t index, std::uint32_t depth) {
    const Object& object = model_.objects()[index];
    if (height_[index] == kOpen) return damaged("the struct {} holds itself", object.name);
    if (height_[index] == kUnseen) {
      if (depth >= limits_.max_depth) return too_deep(object);
      height_[index] = kOpen;
      std::uint32_t height = 1;
      for (const Field& field : object.fields) {
        if (field.type.kind != Kind::kStruct) continue;
        VMSNAP_RETURN_IF_ERROR(check(field.type.object, depth + 1));
        height = std::max(height, height_[field.type.object] + 1);
      }
      height_[index] = height;
    }
    if (height_[index] > limits_.max_depth) return too_deep(object);
    return {};
  }

 private:
  static constexpr std::uint32_t kUnseen = 0;
  static constexpr std::uint32_t kOpen = 0xffffffff;

  [[nodiscard]] Error too_deep(const Object& object) const {
    return {ErrorKind::kLimitExceeded, fmt::format("the schema nests structs deeper than {} levels at {}",
                                                   limits_.max_depth, object.name)};
  }

  const SchemaModel& model_;
  const Limits& limits_;
  std::vector<std::uint32_t> height_;
};

}  // namespace

Result<void> check_schema(const SchemaModel& model, const Limits& limits) {
  StructNesting nesting(model, limits);
  for (std::uint32_t i = 0; i < model.objects().size(); ++i) {
    const Object& object = model.objects()[i];
    if (object.is_struct) {
      VMSNAP_RETURN_IF_ERROR(check_layout(model, object));
      VMSNAP_RETURN_IF_ERROR(nesting.check(i, 0));
    } else {
      VMSNAP_RETURN_IF_ERROR(check_unions(object));
    }
  }
  return {};
}

}  // namespace vmsnap::reflect
