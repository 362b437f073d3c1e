// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/schema_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "reflect/text_escape.h"

namespace vmsnap::reflect {
namespace {

// Slots of the tables of FlatBuffers' own schema of schemas, reflection.fbs; they can only be appended to.
namespace slot {
enum Schema : std::uint32_t {
  kObjects = 4,
  kEnums = 6,
  kFileIdent = 8,
  kRootTable = 12,
  kAdvancedFeatures = 16
};
namespace object {
enum : std::uint32_t {
  kName = 4,
  kFields = 6,
  kIsStruct = 8,
  kMinAlign = 10,
  kByteSize = 12,
  kAttributes = 14,
  kDocumentation = 16
};
}
namespace field {
enum : std::uint32_t {
  kName = 4,
  kType = 6,
  kId = 8,
  kOffset = 10,
  kDefaultInteger = 12,
  kDefaultReal = 14,
  kDeprecated = 16,
  kRequired = 18,
  kAttributes = 22,
  kDocumentation = 24,
  kOptional = 26,
  kOffset64 = 30,
};
}
namespace type {
enum : std::uint32_t { kBaseType = 4, kElement = 6, kIndex = 8, kFixedLength = 10 };
}
namespace enumeration {
enum : std::uint32_t { kName = 4, kValues = 6, kIsUnion = 8, kUnderlyingType = 10, kDocumentation = 14 };
}
namespace value {
enum : std::uint32_t { kName = 4, kValue = 6, kUnionType = 10, kDocumentation = 12 };
}
namespace attribute {
enum : std::uint32_t { kKey = 4, kValue = 6 };
}
}  // namespace slot

// reflection.BaseType, as raw numbers: a hostile schema holds any byte here.
enum RawBase : int {
  kNone = 0,
  kUType = 1,
  kFirstScalar = 2,
  kLastScalar = 12,
  kString = 13,
  kVector = 14,
  kObject = 15,
  kUnion = 16,
  kArray = 17,
};
constexpr std::uint64_t kKnownAdvancedFeatures = 0xf;
// An attribute costs more memory here than bytes in the schema.
constexpr std::uint64_t kAttributeCost = 16;

ScalarType scalar_of(int base) {
  constexpr ScalarType kTypes[] = {ScalarType::kBool, ScalarType::kI8,  ScalarType::kU8,  ScalarType::kI16,
                                   ScalarType::kU16,  ScalarType::kI32, ScalarType::kU32, ScalarType::kI64,
                                   ScalarType::kU64,  ScalarType::kF32, ScalarType::kF64};
  return kTypes[base - kFirstScalar];
}

bool is_scalar(int base) {
  return base >= kFirstScalar && base <= kLastScalar;
}

template <typename... Args>
Error damaged(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kCorrupt, "the schema is damaged: " + fmt::format(format, std::forward<Args>(args)...)};
}

template <typename... Args>
Error unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kUnsupported, "the schema uses " + fmt::format(format, std::forward<Args>(args)...)};
}

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 255 || !letter(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_qualified_name(std::string_view name) {
  while (true) {
    const auto dot = name.find('.');
    if (!is_identifier(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

/// True when `value`, the 64 bits of a default or of an enum value, is in the range of the integer type.
bool fits(std::int64_t value, ScalarType type) {
  if (type == ScalarType::kBool) return value == 0 || value == 1;
  const unsigned bits = 8 * size_of(type);
  if (bits == 64) return true;
  if (is_signed(type))
    return value >= -(std::int64_t{1} << (bits - 1)) && value < std::int64_t{1} << (bits - 1);
  return value >= 0 && value < std::int64_t{1} << bits;
}

std::uint64_t low_bits(std::int64_t value, ScalarType type) {
  const unsigned bits = 8 * size_of(type);
  return static_cast<std::uint64_t>(value) &
         (bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1);
}

}  // namespace

Result<SchemaModel> SchemaModel::load(ByteView bfbs, const Limits& limits) {
  if (bfbs.size() > limits.max_schema_size) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the schema is {} bytes long, more than the {} allowed; "
                             "no real schema comes near",
                             bfbs.size(), limits.max_schema_size));
  }
  return SchemaLoader(bfbs, limits).load();
}

// Without sharing, each thing that is read occupies at least as many bytes as it spends; strings that are
// read twice and the tables' own headers are what the factor is for.
SchemaLoader::SchemaLoader(ByteView bfbs, const Limits& limits)
    : reader_(bfbs), limits_(limits), budget_(std::uint64_t{bfbs.size()} * 4 + 1024) {}

Result<SchemaModel> SchemaLoader::load() {
  if (!reader_.has_identifier("BFBS")) {
    return damaged(
        "it does not begin as a binary FlatBuffers schema does; the four letters BFBS are missing");
  }
  VMSNAP_ASSIGN_OR_RETURN(const Table schema, reader_.table(0));
  VMSNAP_RETURN_IF_ERROR(load_header(schema));
  VMSNAP_RETURN_IF_ERROR(load_object_names(schema));
  VMSNAP_RETURN_IF_ERROR(load_enums(schema));
  for (std::size_t i = 0; i < model_.objects_.size(); ++i) {
    VMSNAP_RETURN_IF_ERROR(load_fields(model_.objects_[i], object_tables_[i]));
  }
  VMSNAP_RETURN_IF_ERROR(load_root(schema));
  VMSNAP_RETURN_IF_ERROR(check_schema(model_, limits_));
  return std::move(model_);
}

Result<void> SchemaLoader::spend(std::uint64_t amount) {
  if (amount > budget_) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the schema refers to its parts more often than its {} bytes could justify",
                             reader_.bytes().size()));
  }
  budget_ -= amount;
  return {};
}

Result<std::uint64_t> SchemaLoader::number(const Table& table, std::uint32_t slot, ScalarType type,
                                           std::uint64_t fallback) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, reader_.field(table, slot, size_of(type), size_of(type)));
  if (at == 0) return fallback;
  return static_cast<std::uint64_t>(load_scalar(type, reader_.bytes(), at).as_signed());
}

Result<bool> SchemaLoader::flag(const Table& table, std::uint32_t slot) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t value, number(table, slot, ScalarType::kU8, 0));
  if (value > 1) return damaged("a yes-or-no value of it is {}", value);
  return value == 1;
}

Result<SchemaLoader::Vector> SchemaLoader::references(const Table& table, std::uint32_t slot) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, reader_.field(table, slot, 4, 4));
  if (at == 0) return Vector{};
  VMSNAP_ASSIGN_OR_RETURN(const Vector found, reader_.vector(at, 4, 4));
  VMSNAP_RETURN_IF_ERROR(spend(found.count));
  return found;
}

Result<std::vector<SchemaLoader::Table>> SchemaLoader::tables(const Table& table, std::uint32_t slot,
                                                              std::uint64_t cost) {
  VMSNAP_ASSIGN_OR_RETURN(const Vector entries, references(table, slot));
  std::vector<Table> found;
  for (std::uint32_t i = 0; i < entries.count; ++i) {
    VMSNAP_RETURN_IF_ERROR(spend(cost));
    VMSNAP_ASSIGN_OR_RETURN(const Table entry, reader_.table(entries.first + 4 * i));
    found.push_back(entry);
  }
  return found;
}

Result<std::string> SchemaLoader::text(const Table& table, std::uint32_t slot) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, reader_.field(table, slot, 4, 4));
  if (at == 0) return std::string();
  VMSNAP_ASSIGN_OR_RETURN(const std::string_view found, reader_.string(at));
  VMSNAP_RETURN_IF_ERROR(spend(found.size()));
  if (!is_utf8(found)) return damaged("the text at byte {} is not UTF-8", at);
  return std::string(found);
}

Result<std::string> SchemaLoader::name(const Table& table, std::uint32_t slot, bool qualified) {
  VMSNAP_ASSIGN_OR_RETURN(std::string found, text(table, slot));
  if (qualified ? !is_qualified_name(found) : !is_identifier(found)) {
    std::string shown;
    append_escaped(shown, std::string_view(found).substr(0, 64));
    return damaged("\"{}\" is no name", shown);
  }
  return found;
}

Result<std::string> SchemaLoader::documentation(const Table& table, std::uint32_t slot) {
  VMSNAP_ASSIGN_OR_RETURN(const Vector lines, references(table, slot));
  std::string joined;
  for (std::uint32_t i = 0; i < lines.count; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(std::string_view line, reader_.string(lines.first + 4 * i));
    VMSNAP_RETURN_IF_ERROR(spend(line.size()));
    if (!is_utf8(line)) return damaged("a line of documentation is not UTF-8");
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
    if (i > 0) joined += '\n';
    joined += line;
  }
  return joined;
}

Result<SchemaLoader::Attributes> SchemaLoader::attributes(const Table& table, std::uint32_t slot) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Table> entries, tables(table, slot, kAttributeCost));
  Attributes found;
  std::set<std::string, std::less<>> seen;
  for (const Table& entry : entries) {
    VMSNAP_ASSIGN_OR_RETURN(std::string key, name(entry, slot::attribute::kKey, false));
    VMSNAP_ASSIGN_OR_RETURN(std::string value, text(entry, slot::attribute::kValue));
    if (!seen.insert(key).second) return damaged("the attribute {} stands twice at one place", key);
    // flatc stores "0" for an attribute without a value.
    if (value == "0") value.clear();
    found.push_back({std::move(key), std::move(value)});
  }
  std::sort(found.begin(), found.end(),
            [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  return found;
}

Result<SchemaLoader::RawType> SchemaLoader::raw_type(const Table& owner, std::uint32_t slot) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, reader_.field(owner, slot, 4, 4));
  if (at == 0) return damaged("a type is missing");
  VMSNAP_RETURN_IF_ERROR(spend(4));
  VMSNAP_ASSIGN_OR_RETURN(const Table table, reader_.table(at));
  VMSNAP_ASSIGN_OR_RETURN(const auto base, number(table, slot::type::kBaseType, ScalarType::kI8, 0));
  VMSNAP_ASSIGN_OR_RETURN(const auto element, number(table, slot::type::kElement, ScalarType::kI8, 0));
  VMSNAP_ASSIGN_OR_RETURN(const auto index,
                          number(table, slot::type::kIndex, ScalarType::kI32, ~std::uint64_t{0}));
  VMSNAP_ASSIGN_OR_RETURN(const auto length, number(table, slot::type::kFixedLength, ScalarType::kU16, 0));
  return RawType{static_cast<int>(static_cast<std::int64_t>(base)),
                 static_cast<int>(static_cast<std::int64_t>(element)), static_cast<std::int64_t>(index),
                 static_cast<std::uint32_t>(length)};
}

Result<void> SchemaLoader::load_header(const Table& schema) {
  VMSNAP_ASSIGN_OR_RETURN(const auto features, number(schema, slot::kAdvancedFeatures, ScalarType::kU64, 0));
  if ((features & ~kKnownAdvancedFeatures) != 0) {
    return unsupported(
        "features of the schema language that this program does not know (mask {:#x}); use a newer "
        "program",
        features & ~kKnownAdvancedFeatures);
  }
  VMSNAP_ASSIGN_OR_RETURN(model_.file_identifier_, text(schema, slot::kFileIdent));
  const auto& letters = model_.file_identifier_;
  const bool printable =
      std::all_of(letters.begin(), letters.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!letters.empty() && (letters.size() != 4 || !printable)) {
    return damaged("its file identifier is not four printable letters");
  }
  return {};
}

Result<void> SchemaLoader::load_object_names(const Table& schema) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Table> objects, tables(schema, slot::kObjects, 4));
  for (const Table& table : objects) {
    Object object;
    VMSNAP_ASSIGN_OR_RETURN(object.name, name(table, slot::object::kName, true));
    VMSNAP_ASSIGN_OR_RETURN(object.is_struct, flag(table, slot::object::kIsStruct));
    if (!names_.insert(object.name).second) return damaged("two types have the name {}", object.name);
    model_.objects_.push_back(std::move(object));
    object_tables_.push_back(table);
  }
  return {};
}

Result<void> SchemaLoader::load_enums(const Table& schema) {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Table> enums, tables(schema, slot::kEnums, 4));
  for (const Table& table : enums) {
    VMSNAP_ASSIGN_OR_RETURN(Enum loaded, load_enum(table));
    if (!names_.insert(loaded.name).second) return damaged("two types have the name {}", loaded.name);
    model_.enums_.push_back(std::move(loaded));
  }
  return {};
}

Result<Enum> SchemaLoader::load_enum(const Table& table) {
  Enum loaded;
  VMSNAP_ASSIGN_OR_RETURN(loaded.name, name(table, slot::enumeration::kName, true));
  VMSNAP_ASSIGN_OR_RETURN(loaded.is_union, flag(table, slot::enumeration::kIsUnion));
  VMSNAP_ASSIGN_OR_RETURN(const RawType underlying, raw_type(table, slot::enumeration::kUnderlyingType));
  VMSNAP_ASSIGN_OR_RETURN(loaded.documentation, documentation(table, slot::enumeration::kDocumentation));
  if (loaded.is_union) {
    if (underlying.base != kUType)
      return damaged("the union {} has an impossible discriminator", loaded.name);
  } else if (!is_scalar(underlying.base) || is_float(scalar_of(underlying.base))) {
    return damaged("the enum {} is not made of integers", loaded.name);
  } else {
    loaded.underlying = scalar_of(underlying.base);
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Table> values,
                          tables(table, slot::enumeration::kValues, kAttributeCost));
  std::set<std::string> value_names;
  std::set<std::int64_t> numbers;
  for (const Table& entry : values) {
    VMSNAP_ASSIGN_OR_RETURN(EnumValue value, load_enum_value(entry, loaded));
    if (!value_names.insert(value.name).second || !numbers.insert(value.value).second) {
      return damaged("{}.{} stands for the same as another value, or has its name", loaded.name, value.name);
    }
    loaded.values.push_back(std::move(value));
  }
  std::sort(loaded.values.begin(), loaded.values.end(),
            [](const EnumValue& a, const EnumValue& b) { return a.value < b.value; });
  return loaded;
}

Result<EnumValue> SchemaLoader::load_enum_value(const Table& table, const Enum& owner) {
  EnumValue value;
  VMSNAP_ASSIGN_OR_RETURN(value.name, name(table, slot::value::kName, false));
  VMSNAP_ASSIGN_OR_RETURN(const auto bits, number(table, slot::value::kValue, ScalarType::kI64, 0));
  value.value = static_cast<std::int64_t>(bits);
  VMSNAP_ASSIGN_OR_RETURN(value.documentation, documentation(table, slot::value::kDocumentation));
  if (!fits(value.value, owner.underlying)) {
    return damaged("the value of {}.{} is outside the range of {}", owner.name, value.name,
                   to_string(owner.underlying));
  }
  if (!owner.is_union) return value;
  VMSNAP_ASSIGN_OR_RETURN(const RawType member, raw_type(table, slot::value::kUnionType));
  if (value.value == 0) {
    if (member.base != kNone) return damaged("member 0 of the union {} is not NONE", owner.name);
    return value;
  }
  if (member.base != kObject) {
    return unsupported("a union with a member that is no table ({}.{}); state may not", owner.name,
                       value.name);
  }
  if (member.index < 0 || member.index >= static_cast<std::int64_t>(model_.objects_.size())) {
    return damaged("the union member {}.{} has no type", owner.name, value.name);
  }
  value.object = static_cast<std::uint32_t>(member.index);
  if (model_.objects_[value.object].is_struct) {
    return unsupported("a union with a member that is no table ({}.{}); state may not", owner.name,
                       value.name);
  }
  return value;
}

Result<void> SchemaLoader::load_root(const Table& schema) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, reader_.field(schema, slot::kRootTable, 4, 4));
  if (at == 0) return damaged("it names no root table");
  VMSNAP_ASSIGN_OR_RETURN(const Table table, reader_.table(at));
  VMSNAP_ASSIGN_OR_RETURN(const std::string root, name(table, slot::object::kName, true));
  const Object* object = model_.find_object(root);
  if (object == nullptr || object->is_struct) return damaged("its root {} is not one of its tables", root);
  model_.root_ = static_cast<std::uint32_t>(object - model_.objects_.data());
  return {};
}

Result<void> SchemaLoader::load_fields(Object& object, const Table& table) {
  if (object.is_struct) {
    VMSNAP_ASSIGN_OR_RETURN(const auto alignment,
                            number(table, slot::object::kMinAlign, ScalarType::kI32, 0));
    VMSNAP_ASSIGN_OR_RETURN(const auto size, number(table, slot::object::kByteSize, ScalarType::kI32, 0));
    if (alignment == 0 || alignment > 32 || !std::has_single_bit(alignment)) {
      return damaged("the struct {} has an impossible alignment", object.name);
    }
    if (size == 0 || size > 65536 || size % alignment != 0) {
      return damaged("the struct {} has an impossible size", object.name);
    }
    object.alignment = static_cast<std::uint32_t>(alignment);
    object.size = static_cast<std::uint32_t>(size);
  }
  VMSNAP_ASSIGN_OR_RETURN(object.attributes, attributes(table, slot::object::kAttributes));
  VMSNAP_ASSIGN_OR_RETURN(object.documentation, documentation(table, slot::object::kDocumentation));
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Table> fields,
                          tables(table, slot::object::kFields, kAttributeCost));
  std::set<std::string> field_names;
  std::set<std::uint16_t> ids;
  for (const Table& entry : fields) {
    VMSNAP_ASSIGN_OR_RETURN(Field field, load_field(object, entry));
    if (!field_names.insert(field.name).second || !ids.insert(field.id).second) {
      return damaged("the field {}.{} shares its name or its id with another", object.name, field.name);
    }
    object.fields.push_back(std::move(field));
  }
  std::sort(object.fields.begin(), object.fields.end(),
            [](const Field& a, const Field& b) { return a.id < b.id; });
  if (!object.fields.empty() && object.fields.back().id != object.fields.size() - 1) {
    return damaged("the ids of the fields of {} have gaps", object.name);
  }
  return {};
}

Result<Field> SchemaLoader::load_field(const Object& owner, const Table& table) {
  Field field;
  VMSNAP_ASSIGN_OR_RETURN(field.name, name(table, slot::field::kName, false));
  const auto complain = [&](std::string_view what) {
    return damaged("the field {}.{} {}", owner.name, field.name, what);
  };
  VMSNAP_ASSIGN_OR_RETURN(const auto id, number(table, slot::field::kId, ScalarType::kU16, 0));
  VMSNAP_ASSIGN_OR_RETURN(const auto offset, number(table, slot::field::kOffset, ScalarType::kU16, 0));
  field.id = static_cast<std::uint16_t>(id);
  field.offset = static_cast<std::uint32_t>(offset);
  if (!owner.is_struct && (id >= 0x7ff0 || offset != 4 + 2 * id))
    return complain("has an offset that is not 4 + 2 * id");

  VMSNAP_ASSIGN_OR_RETURN(field.deprecated, flag(table, slot::field::kDeprecated));
  VMSNAP_ASSIGN_OR_RETURN(field.required, flag(table, slot::field::kRequired));
  VMSNAP_ASSIGN_OR_RETURN(field.optional, flag(table, slot::field::kOptional));
  VMSNAP_ASSIGN_OR_RETURN(const bool offset64, flag(table, slot::field::kOffset64));
  if (offset64) return unsupported("64-bit offsets ({}.{}); state may not", owner.name, field.name);

  VMSNAP_ASSIGN_OR_RETURN(const RawType raw, raw_type(table, slot::field::kType));
  auto type = convert(raw, owner.is_struct);
  if (!type) return std::move(type).error().in_field(fmt::format("{}.{}", owner.name, field.name));
  field.type = *type;
  field.is_union_type = raw.base == kUType;

  const bool scalar = field.type.kind == Kind::kScalar && field.type.shape == Shape::kSingle;
  // flatc 2.0.8 marks every field that is no scalar as optional, unless it is required.
  if (!scalar) field.optional = false;
  if (owner.is_struct && (field.required || field.optional || field.deprecated)) {
    return complain("is in a struct but required, optional or deprecated");
  }
  if (scalar && field.required) return complain("is a number and required");
  if (scalar) {
    VMSNAP_ASSIGN_OR_RETURN(const auto integer,
                            number(table, slot::field::kDefaultInteger, ScalarType::kI64, 0));
    VMSNAP_ASSIGN_OR_RETURN(const auto real, number(table, slot::field::kDefaultReal, ScalarType::kF64, 0));
    const ScalarType scalar_type = field.type.scalar;
    field.default_value.type = scalar_type;
    if (scalar_type == ScalarType::kF64) {
      field.default_value.bits = real;
    } else if (scalar_type == ScalarType::kF32) {
      const auto value = std::bit_cast<double>(real);
      if (value > std::numeric_limits<float>::max() || value < std::numeric_limits<float>::lowest()) {
        return complain("has a default outside the range of its type");
      }
      field.default_value.bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    } else {
      const auto value = static_cast<std::int64_t>(integer);
      if (!fits(value, scalar_type)) return complain("has a default outside the range of its type");
      field.default_value.bits = low_bits(value, scalar_type);
    }
  }

  VMSNAP_ASSIGN_OR_RETURN(field.attributes, attributes(table, slot::field::kAttributes));
  VMSNAP_ASSIGN_OR_RETURN(field.documentation, documentation(table, slot::field::kDocumentation));
  for (const Attribute& attribute : field.attributes) {
    if (attribute.name == "hex") field.hex = true;
    if (attribute.name == "gpa") field.gpa = true;
    if (attribute.name == "image") field.image = true;
    if (attribute.name == "unit") field.unit = attribute.value;
  }
  return field;
}

Result<Type> SchemaLoader::convert_element(int base, std::int64_t index) const {
  Type type;
  if (is_scalar(base)) {
    type.scalar = scalar_of(base);
    if (index == -1) return type;
    if (index < 0 || index >= static_cast<std::int64_t>(model_.enums_.size()))
      return damaged("its enum does not exist");
    type.enumeration = static_cast<std::uint32_t>(index);
    const Enum& named = model_.enums_[type.enumeration];
    if (named.is_union || named.underlying != type.scalar) return damaged("its enum is of another size");
    return type;
  }
  if (base == kString) {
    type.kind = Kind::kString;
    return type;
  }
  if (base == kObject) {
    if (index < 0 || index >= static_cast<std::int64_t>(model_.objects_.size()))
      return damaged("its type does not exist");
    type.object = static_cast<std::uint32_t>(index);
    type.kind = model_.objects_[type.object].is_struct ? Kind::kStruct : Kind::kTable;
    return type;
  }
  if (base == kUType || base == kUnion) return unsupported("a vector of unions; state may not");
  if (base > kArray) return unsupported("a kind of type (number {}) that this program does not know", base);
  return damaged("it has a type (number {}) that cannot stand there", base);
}

Result<Type> SchemaLoader::convert(const RawType& raw, bool in_struct) const {
  Type type;
  switch (raw.base) {
    case kUType:
    case kUnion:
      if (in_struct) return damaged("a struct holds a union");
      if (raw.index < 0 || raw.index >= static_cast<std::int64_t>(model_.enums_.size()) ||
          !model_.enums_[static_cast<std::size_t>(raw.index)].is_union) {
        return damaged("its union does not exist");
      }
      type.kind = raw.base == kUnion ? Kind::kUnion : Kind::kScalar;
      type.enumeration = static_cast<std::uint32_t>(raw.index);
      return type;
    case kVector: {
      if (in_struct) return damaged("a struct holds a vector");
      VMSNAP_ASSIGN_OR_RETURN(type, convert_element(raw.element, raw.index));
      type.shape = Shape::kVector;
      return type;
    }
    case kArray: {
      if (!in_struct || raw.length == 0) return damaged("an array is empty or not in a struct");
      VMSNAP_ASSIGN_OR_RETURN(type, convert_element(raw.element, raw.index));
      type.shape = Shape::kArray;
      type.length = raw.length;
      break;
    }
    default: {
      VMSNAP_ASSIGN_OR_RETURN(type, convert_element(raw.base, raw.index));
      break;
    }
  }
  if (in_struct && type.kind != Kind::kScalar && type.kind != Kind::kStruct) {
    return damaged("a struct holds a value whose size is not fixed");
  }
  return type;
}

}  // namespace vmsnap::reflect
