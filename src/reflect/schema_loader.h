// SPDX-License-Identifier: BSD-2-Clause
// Turns a binary schema into a SchemaModel. Private to the layer.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reflect/flat_reader.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {

/// Reads with the same bounded reader that serves data, not with the FlatBuffers verifier, which looks at a
/// shared part once for each reference to it: 580 KB of schema kept it busy for 3.6 s.
class SchemaLoader {
 public:
  SchemaLoader(ByteView bfbs, const Limits& limits);

  [[nodiscard]] Result<SchemaModel> load();

 private:
  using Table = FlatReader::Table;
  using Vector = FlatReader::Vector;

  /// A reflection.Type as it is stored.
  struct RawType {
    int base = 0;
    int element = 0;
    std::int64_t index = -1;
    std::uint32_t length = 0;
  };
  /// Attributes of a field in the order of their names.
  using Attributes = std::vector<Attribute>;

  [[nodiscard]] Result<void> spend(std::uint64_t amount);
  [[nodiscard]] Result<std::uint64_t> number(const Table& table, std::uint32_t slot, ScalarType type,
                                             std::uint64_t fallback) const;
  [[nodiscard]] Result<bool> flag(const Table& table, std::uint32_t slot) const;
  /// Empty when absent.
  [[nodiscard]] Result<Vector> references(const Table& table, std::uint32_t slot);
  /// The tables of a vector, each at a price of `cost`; empty when absent.
  [[nodiscard]] Result<std::vector<Table>> tables(const Table& table, std::uint32_t slot, std::uint64_t cost);
  [[nodiscard]] Result<std::string> text(const Table& table, std::uint32_t slot);
  [[nodiscard]] Result<std::string> name(const Table& table, std::uint32_t slot, bool qualified);
  [[nodiscard]] Result<std::string> documentation(const Table& table, std::uint32_t slot);
  [[nodiscard]] Result<Attributes> attributes(const Table& table, std::uint32_t slot);
  [[nodiscard]] Result<RawType> raw_type(const Table& owner, std::uint32_t slot);

  [[nodiscard]] Result<void> load_header(const Table& schema);
  [[nodiscard]] Result<void> load_object_names(const Table& schema);
  [[nodiscard]] Result<void> load_enums(const Table& schema);
  [[nodiscard]] Result<Enum> load_enum(const Table& table);
  [[nodiscard]] Result<EnumValue> load_enum_value(const Table& table, const Enum& owner);
  [[nodiscard]] Result<void> load_root(const Table& schema);
  [[nodiscard]] Result<void> load_fields(Object& object, const Table& table);
  [[nodiscard]] Result<Field> load_field(const Object& owner, const Table& table);
  [[nodiscard]] Result<Type> convert(const RawType& raw, bool in_struct) const;
  [[nodiscard]] Result<Type> convert_element(int base, std::int64_t index) const;

  FlatReader reader_;
  const Limits& limits_;
  std::uint64_t budget_;
  SchemaModel model_;
  std::vector<Table> object_tables_;  // parallel to model_.objects_
  std::set<std::string, std::less<>> names_;
};

/// The rules that concern more than one part of a schema: layout of structs, unions, nesting.
[[nodiscard]] Result<void> check_schema(const SchemaModel& model, const Limits& limits);

}  // namespace vmsnap::reflect
