// SPDX-License-Identifier: BSD-2-Clause
#include <flatbuffers/flatbuffers.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "container/flatbuffer.h"
#include "format/constants.h"
#include "migrate/state_tree.h"

namespace vmsnap::compat {
namespace {

using reflect::Field;
using reflect::Kind;
using reflect::Object;
using reflect::SchemaModel;
using reflect::Shape;
using AnyOffset = flatbuffers::Offset<void>;

/// Writes one state. Children come before the tables that refer to them; within a table, large fields come
/// before small ones, as the generated code has them, and equal ones in order of id.
class TreeEncoder {
 public:
  explicit TreeEncoder(const SchemaModel& model) : model_(model) {}

  Result<ByteVector> encode(const Record& root) {
    VMSNAP_ASSIGN_OR_RETURN(const AnyOffset offset, table(root));
    const std::string& letters = model_.file_identifier();
    builder_.Finish(offset, letters.empty() ? nullptr : letters.c_str());
    if (builder_.GetSize() > kMaxMetaSize) return too_large();
    return take_bytes(builder_);
  }

 private:
  /// A field on its way into its table.
  struct Stored {
    const Field* field = nullptr;
    AnyOffset offset;         // of what is held apart
    ByteVector inline_bytes;  // of what stands in the table itself
  };

  [[nodiscard]] static Error too_large() {
    return {ErrorKind::kLimitExceeded,
            "the state would be larger than the 16 MiB that the format allows; no real state is"};
  }

  [[nodiscard]] Error wrong(const Field& field, std::string_view what) const {
    return Error(ErrorKind::kInternal,
                 fmt::format("the state of {} cannot be written: {}; correct the conversion step",
                             model_.root().name, what))
        .in_field(field.name);
  }

  /// Refuses what would not fit before it is allocated.
  [[nodiscard]] Result<void> reserve(std::size_t size) const {
    if (size > kMaxMetaSize || builder_.GetSize() > kMaxMetaSize - size) return too_large();
    return {};
  }

  void push(const ByteVector& bytes) {
    builder_.PushBytes(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }

  Result<AnyOffset> table(const Record& record) {
    std::vector<Stored> stored;
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      const Field& field = record.type->fields[i];
      const Value& value = record.fields[i];
      if (value.is_null()) {
        if (field.required) return wrong(field, "the field is required and nobody has set it");
        continue;
      }
      VMSNAP_ASSIGN_OR_RETURN(std::optional<Stored> item, stored_field(field, value));
      if (item) stored.push_back(std::move(*item));
    }
    const auto size_in_table = [&](const Stored& item) {
      return item.inline_bytes.empty() ? std::size_t{4} : item.inline_bytes.size();
    };
    std::stable_sort(stored.begin(), stored.end(),
                     [&](const Stored& a, const Stored& b) { return size_in_table(a) > size_in_table(b); });
    VMSNAP_RETURN_IF_ERROR(reserve(16 + 2 * record.fields.size()));
    const auto start = builder_.StartTable();
    for (const Stored& item : stored) {
      const auto slot = static_cast<flatbuffers::voffset_t>(item.field->offset);
      if (item.inline_bytes.empty()) {
        builder_.AddOffset(slot, item.offset);
        continue;
      }
      builder_.Align(model_.inline_alignment(item.field->type));
      push(item.inline_bytes);
      builder_.AddStructOffset(slot, builder_.GetSize());
    }
    return AnyOffset(builder_.EndTable(start));
  }

  /// nullopt when the field holds its default, which is not stored.
  Result<std::optional<Stored>> stored_field(const Field& field, const Value& value) {
    Stored item{&field, {}, {}};
    const bool in_table = field.type.shape == Shape::kSingle &&
                          (field.type.kind == Kind::kScalar || field.type.kind == Kind::kStruct);
    if (in_table) {
      if (value.scalar() != nullptr && is_default(field, value)) return std::optional<Stored>();
      item.inline_bytes.resize(model_.inline_size(field.type));
      VMSNAP_RETURN_IF_ERROR(fill(field, field.type, value, item.inline_bytes));
    } else {
      VMSNAP_ASSIGN_OR_RETURN(item.offset, held_apart(field, value));
    }
    return std::optional<Stored>(std::move(item));
  }

  Result<AnyOffset> held_apart(const Field& field, const Value& value) {
    if (field.type.shape == Shape::kVector) return vector(field, value);
    return element(field, value);
  }

  /// A string or a table.
  Result<AnyOffset> element(const Field& field, const Value& value) {
    if (field.type.kind == Kind::kString && value.text() != nullptr) {
      VMSNAP_RETURN_IF_ERROR(reserve(value.text()->size()));
      return AnyOffset(builder_.CreateString(*value.text()).o);
    }
    const bool takes_table = field.type.kind == Kind::kTable || field.type.kind == Kind::kUnion;
    if (takes_table && value.record() != nullptr) return table(*value.record());
    return wrong(field, "it holds another kind of value");
  }

  Result<AnyOffset> vector(const Field& field, const Value& value) {
    if (field.type.kind == Kind::kScalar) {
      if (value.numbers() == nullptr || value.numbers()->type != field.type.scalar) {
        return wrong(field, "it holds another kind of value");
      }
      return inline_vector(value.numbers()->bytes, value.numbers()->count(), size_of(field.type.scalar));
    }
    if (value.list() == nullptr) return wrong(field, "it holds another kind of value");
    const List& list = *value.list();
    if (field.type.kind == Kind::kStruct) {
      const std::size_t size = model_.inline_size(field.type);
      VMSNAP_RETURN_IF_ERROR(reserve(list.size() * size));
      ByteVector bytes(list.size() * size);
      for (std::size_t i = 0; i < list.size(); ++i) {
        VMSNAP_RETURN_IF_ERROR(
            fill_one(field, field.type, list[i], MutableByteView(bytes).subspan(i * size, size)));
      }
      return inline_vector(bytes, list.size(), model_.inline_alignment(field.type));
    }
    std::vector<AnyOffset> offsets;
    for (const Value& item : list) {
      VMSNAP_ASSIGN_OR_RETURN(const AnyOffset offset, element(field, item));
      offsets.push_back(offset);
    }
    VMSNAP_RETURN_IF_ERROR(reserve(4 * offsets.size()));
    return AnyOffset(builder_.CreateVector(offsets).o);
  }

  Result<AnyOffset> inline_vector(const ByteVector& bytes, std::size_t count, std::size_t alignment) {
    VMSNAP_RETURN_IF_ERROR(reserve(bytes.size()));
    builder_.StartVector(bytes.size() / alignment, alignment);
    push(bytes);
    return AnyOffset(builder_.EndVector(count));
  }

  /// Writes a number, a struct or an array of either to where it stands.
  Result<void> fill(const Field& field, const reflect::Type& type, const Value& value, MutableByteView out) {
    if (type.shape != Shape::kArray) return fill_one(field, type, value, out);
    const std::size_t size = model_.inline_size(type);
    if (type.kind == Kind::kScalar) {
      if (value.numbers() == nullptr || value.numbers()->bytes.size() != size * type.length) {
        return wrong(field, "it holds another kind or number of values");
      }
      std::copy(value.numbers()->bytes.begin(), value.numbers()->bytes.end(), out.begin());
      return {};
    }
    if (value.list() == nullptr || value.list()->size() != type.length) {
      return wrong(field, "it holds another kind or number of values");
    }
    for (std::size_t i = 0; i < type.length; ++i) {
      VMSNAP_RETURN_IF_ERROR(fill_one(field, type, (*value.list())[i], out.subspan(i * size, size)));
    }
    return {};
  }

  Result<void> fill_one(const Field& field, const reflect::Type& type, const Value& value,
                        MutableByteView out) {
    if (type.kind == Kind::kScalar) {
      if (value.scalar() == nullptr || value.scalar()->type != type.scalar) {
        return wrong(field, "it holds another kind of value");
      }
      std::memcpy(out.data(), &value.scalar()->bits, size_of(type.scalar));
      return {};
    }
    if (value.record() == nullptr || value.record()->type != &model_.object(type)) {
      return wrong(field, "it holds another kind of value");
    }
    const Record& record = *value.record();
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      const Field& member = record.type->fields[i];
      const std::size_t count = member.type.shape == Shape::kArray ? member.type.length : 1;
      VMSNAP_RETURN_IF_ERROR(fill(member, member.type, record.fields[i],
                                  out.subspan(member.offset, count * model_.inline_size(member.type))));
    }
    return {};
  }

  const SchemaModel& model_;
  flatbuffers::FlatBufferBuilder builder_;
};

}  // namespace

Result<ByteVector> StateTree::encode() const {
  return TreeEncoder(*model_).encode(root_);
}

}  // namespace vmsnap::compat
