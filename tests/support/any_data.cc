// SPDX-License-Identifier: BSD-2-Clause
#include "any_data.h"

#include <flatbuffers/flatbuffers.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

namespace vmsnap::reflect {
namespace {

using AnyOffset = flatbuffers::Offset<void>;

class AnyData {
 public:
  AnyData(const SchemaModel& model, const AnyDataOptions& options)
      : model_(model), options_(options), random_(options.seed) {}

  ByteVector make() {
    const AnyOffset root = table(model_.root(), 0);
    builder_.Finish(root, model_.file_identifier().empty() ? nullptr : model_.file_identifier().c_str());
    const auto* begin = reinterpret_cast<const std::byte*>(builder_.GetBufferPointer());
    return {begin, begin + builder_.GetSize()};
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  bool wanted(const Field& field, std::uint32_t depth) {
    if (field.required) return true;
    const bool leads_on = field.type.kind == Kind::kTable || field.type.kind == Kind::kUnion;
    if (leads_on && depth + 1 >= options_.max_depth) return false;
    return options_.every_field || below(2) == 0;
  }

  std::uint64_t scalar(const Type& type) {
    if (type.enumeration != kNoIndex) {
      const auto& values = model_.enumeration(type).values;
      return values.empty() ? 0 : static_cast<std::uint64_t>(values[below(values.size())].value);
    }
    if (type.scalar == ScalarType::kBool) return below(2);
    return below(4) == 0 ? below(3) : random_();
  }

  /// The bytes of a struct, or of a number.
  ByteVector inline_bytes(const Type& type) {
    ByteVector bytes(model_.inline_size(type));
    if (type.kind == Kind::kStruct) {
      fill_struct(model_.object(type), bytes);
    } else {
      const std::uint64_t value = scalar(type);
      std::memcpy(bytes.data(), &value, bytes.size());
    }
    return bytes;
  }

  void fill_struct(const Object& object, MutableByteView out) {
    for (const Field& field : object.fields) {
      Type element = field.type;
      const std::uint32_t count = element.shape == Shape::kArray ? element.length : 1;
      element.shape = Shape::kSingle;
      for (std::uint32_t i = 0; i < count; ++i) {
        const ByteVector bytes = inline_bytes(element);
        std::copy(bytes.begin(), bytes.end(),
                  out.begin() + static_cast<std::ptrdiff_t>(field.offset + i * bytes.size()));
      }
    }
  }

  AnyOffset string() {
    std::string text(below(12), ' ');
    for (char& c : text) c = static_cast<char>(0x20 + below(0x5f));
    return builder_.CreateString(text).Union();
  }

  AnyOffset vector(const Type& type, std::uint32_t depth) {
    const std::uint32_t count = options_.vector_size;
    if (type.kind == Kind::kString || type.kind == Kind::kTable) {
      std::vector<AnyOffset> elements;
      for (std::uint32_t i = 0; i < count; ++i) {
        elements.push_back(type.kind == Kind::kString ? string() : table(model_.object(type), depth + 1));
      }
      return builder_.CreateVector(elements).Union();
    }
    const std::uint32_t size = model_.inline_size(type);
    const std::uint32_t alignment = model_.inline_alignment(type);
    builder_.StartVector(std::size_t{count} * size / alignment, alignment);
    for (std::uint32_t i = 0; i < count; ++i) push(inline_bytes(type));
    return AnyOffset(builder_.EndVector(count));
  }

  void push(const ByteVector& bytes) {
    builder_.PushBytes(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }

  AnyOffset table(const Object& object, std::uint32_t depth) {
    struct Stored {
      const Field* field;
      AnyOffset offset;  // null for what is stored in the table itself
      std::optional<std::uint64_t> discriminator;
    };
    std::vector<Stored> stored;
    for (const Field& field : object.fields) {
      if (field.is_union_type || !wanted(field, depth)) continue;
      if (field.type.shape == Shape::kVector) {
        stored.push_back({&field, vector(field.type, depth), {}});
      } else if (field.type.kind == Kind::kString) {
        stored.push_back({&field, string(), {}});
      } else if (field.type.kind == Kind::kTable) {
        stored.push_back({&field, table(model_.object(field.type), depth + 1), {}});
      } else if (field.type.kind == Kind::kUnion) {
        const auto& members = model_.enumeration(field.type).values;
        const EnumValue& member = members[1 + below(members.size() - 1)];
        stored.push_back(
            {&object.fields[field.id - 1u], AnyOffset(), static_cast<std::uint64_t>(member.value)});
        stored.push_back({&field, table(model_.objects()[member.object], depth + 1), {}});
      } else {
        stored.push_back({&field, AnyOffset(), {}});
      }
    }
    const auto start = builder_.StartTable();
    for (const Stored& item : stored) {
      const auto slot = static_cast<flatbuffers::voffset_t>(item.field->offset);
      if (!item.offset.IsNull()) {
        builder_.AddOffset(slot, item.offset);
        continue;
      }
      ByteVector bytes = inline_bytes(item.field->type);
      if (item.discriminator) bytes[0] = static_cast<std::byte>(*item.discriminator);
      builder_.Align(model_.inline_alignment(item.field->type));
      push(bytes);
      builder_.AddStructOffset(slot, builder_.GetSize());
    }
    return AnyOffset(builder_.EndTable(start));
  }

  const SchemaModel& model_;
  const AnyDataOptions& options_;
  std::mt19937_64 random_;
  flatbuffers::FlatBufferBuilder builder_;
};

}  // namespace

ByteVector make_any_data(const SchemaModel& model, const AnyDataOptions& options) {
  return AnyData(model, options).make();
}

}  // namespace vmsnap::reflect
