// SPDX-License-Identifier: BSD-2-Clause
// Schemas that no compiler writes. They are built part by part with FlatBuffers' own builder.
#include <flatbuffers/reflection_generated.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <random>

#include "flatc.h"
#include "reflect/schema_model.h"

namespace vmsnap::reflect {
namespace {

using ::testing::HasSubstr;
namespace fb = ::flatbuffers;
namespace rf = ::reflection;

struct TypeSpec {
  int base = rf::Int;
  int element = 0;
  int index = -1;
  std::uint16_t length = 0;
};

struct FieldSpec {
  std::string name = "x";
  TypeSpec type;
  int id = 0;
  int offset = 4;
  std::int64_t default_integer = 0;
  double default_real = 0;
  bool required = false;
  bool optional = false;
};

struct ObjectSpec {
  std::string name = "R";
  std::vector<FieldSpec> fields;
  bool is_struct = false;
  int alignment = 1;
  int size = 0;
};

struct ValueSpec {
  std::string name;
  std::int64_t value = 0;
  TypeSpec member{rf::None};
};

struct EnumSpec {
  std::string name = "E";
  std::vector<ValueSpec> values;
  bool is_union = false;
  TypeSpec underlying{rf::UByte};
};

struct SchemaSpec {
  std::vector<ObjectSpec> objects;
  std::vector<EnumSpec> enums;
  std::string identifier;
  std::uint64_t features = 0;
};

class Builder {
 public:
  ByteVector build(const SchemaSpec& spec) {
    std::vector<fb::Offset<rf::Object>> objects;
    for (const ObjectSpec& object : spec.objects) objects.push_back(add(object));
    std::vector<fb::Offset<rf::Enum>> enums;
    for (const EnumSpec& item : spec.enums) enums.push_back(add(item));
    const auto all_objects = fbb_.CreateVector(objects);
    const auto all_enums = fbb_.CreateVector(enums);
    const auto identifier = fbb_.CreateString(spec.identifier);
    rf::SchemaBuilder schema(fbb_);
    schema.add_objects(all_objects);
    schema.add_enums(all_enums);
    schema.add_file_ident(identifier);
    schema.add_root_table(objects.at(0));
    fbb_.AddElement<std::uint64_t>(rf::Schema::VT_ADVANCED_FEATURES, spec.features, 0);
    fbb_.Finish(schema.Finish(), "BFBS");
    const auto* begin = reinterpret_cast<const std::byte*>(fbb_.GetBufferPointer());
    return {begin, begin + fbb_.GetSize()};
  }

 private:
  fb::Offset<rf::Type> add(const TypeSpec& spec) {
    // Through the raw builder: the values are not those of the enumeration.
    const auto start = fbb_.StartTable();
    fbb_.AddElement<std::int8_t>(rf::Type::VT_BASE_TYPE, static_cast<std::int8_t>(spec.base), 0);
    fbb_.AddElement<std::int8_t>(rf::Type::VT_ELEMENT, static_cast<std::int8_t>(spec.element), 0);
    fbb_.AddElement<std::int32_t>(rf::Type::VT_INDEX, spec.index, -1);
    fbb_.AddElement<std::uint16_t>(rf::Type::VT_FIXED_LENGTH, spec.length, 0);
    return {fbb_.EndTable(start)};
  }

  fb::Offset<rf::Object> add(const ObjectSpec& spec) {
    std::vector<fb::Offset<rf::Field>> fields;
    for (const FieldSpec& field : spec.fields) {
      const auto type = add(field.type);
      fields.push_back(rf::CreateFieldDirect(
          fbb_, field.name.c_str(), type, static_cast<std::uint16_t>(field.id),
          static_cast<std::uint16_t>(field.offset), field.default_integer, field.default_real, false,
          field.required, false, nullptr, nullptr, field.optional));
    }
    return rf::CreateObjectDirect(fbb_, spec.name.c_str(), &fields, spec.is_struct, spec.alignment,
                                  spec.size);
  }

  fb::Offset<rf::Enum> add(const EnumSpec& spec) {
    std::vector<fb::Offset<rf::EnumVal>> values;
    for (const ValueSpec& value : spec.values) {
      values.push_back(rf::CreateEnumValDirect(fbb_, value.name.c_str(), value.value, add(value.member)));
    }
    const auto underlying = add(spec.underlying);
    return rf::CreateEnumDirect(fbb_, spec.name.c_str(), &values, spec.is_union, underlying);
  }

  fb::FlatBufferBuilder fbb_;
};

SchemaSpec good() {
  return {{{"R", {{"x", {}, 0, 4}, {"y", {}, 1, 6}}}}, {}, "RRRR", 0};
}

SchemaSpec with_struct(std::vector<FieldSpec> fields, int alignment, int size) {
  return {{{"R", {{"s", {rf::Obj, 0, 1}}}}, {"S", std::move(fields), true, alignment, size}}, {}, "", 0};
}

void expect_refused(const SchemaSpec& spec, ErrorKind kind, const std::string& words) {
  const auto model = SchemaModel::load(Builder().build(spec));
  ASSERT_FALSE(model) << words;
  EXPECT_EQ(model.error().kind(), kind) << model.error().to_string();
  EXPECT_THAT(model.error().message(), HasSubstr(words));
}

void expect_corrupt(const SchemaSpec& spec, const std::string& words) {
  expect_refused(spec, ErrorKind::kCorrupt, words);
}

SchemaSpec changed(const std::function<void(FieldSpec&)>& change) {
  SchemaSpec spec = good();
  change(spec.objects[0].fields[1]);
  return spec;
}

TEST(HostileSchema, TheSchemaThatTheOtherCasesDamageIsGood) {
  const auto model = SchemaModel::load(Builder().build(good()));
  ASSERT_TRUE(model) << model.error().to_string();
  const auto structs = SchemaModel::load(Builder().build(with_struct({{"a", {rf::Int}, 0, 0}}, 4, 4)));
  EXPECT_TRUE(structs) << structs.error().to_string();
}

TEST(HostileSchema, RefusesNumbersThatAreNoType) {
  expect_corrupt(changed([](FieldSpec& field) { field.type.base = -7; }), "cannot stand there");
  expect_corrupt(changed([](FieldSpec& field) { field.type.base = rf::None; }), "cannot stand there");
  expect_refused(changed([](FieldSpec& field) { field.type.base = 18; }), ErrorKind::kUnsupported,
                 "does not know");
  expect_refused(changed([](FieldSpec& field) {
                   field.type = {rf::Vector, 100};
                 }),
                 ErrorKind::kUnsupported, "does not know");
  expect_corrupt(changed([](FieldSpec& field) {
                   field.type = {rf::Vector, rf::Vector};
                 }),
                 "cannot stand there");
  expect_corrupt(changed([](FieldSpec& field) {
                   field.type = {rf::Array, rf::Int, -1, 4};
                 }),
                 "not in a struct");
}

TEST(HostileSchema, RefusesIndicesOfTypesThatDoNotExist) {
  for (const int index : {-2, -1, 1, 0x7fffffff}) {
    expect_corrupt(changed([&](FieldSpec& field) { field.type = {rf::Obj, 0, index}; }), "does not exist");
    expect_corrupt(changed([&](FieldSpec& field) {
                     field.type = {rf::Vector, rf::Obj, index};
                   }),
                   "does not exist");
    expect_corrupt(changed([&](FieldSpec& field) { field.type = {rf::Union, 0, index}; }), "does not exist");
    if (index != -1)
      expect_corrupt(changed([&](FieldSpec& field) { field.type.index = index; }), "does not exist");
  }
}

TEST(HostileSchema, RefusesFieldsWhoseIdsOrOffsetsDoNotFitTogether) {
  expect_corrupt(changed([](FieldSpec& field) { field.id = 0, field.offset = 4; }),
                 "shares its name or its id");
  expect_corrupt(changed([](FieldSpec& field) { field.id = 2, field.offset = 8; }), "gaps");
  expect_corrupt(changed([](FieldSpec& field) { field.offset = 8; }), "4 + 2 * id");
  expect_corrupt(changed([](FieldSpec& field) { field.id = 65535, field.offset = 2; }), "4 + 2 * id");
}

TEST(HostileSchema, RefusesNamesThatAreNoIdentifiers) {
  for (const std::string name : {"", "a b", "1a", "a\x1b[2J", "a\"b", "a.b", "\xff"}) {
    const auto model =
        SchemaModel::load(Builder().build(changed([&](FieldSpec& field) { field.name = name; })));
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(model.error().message().find('\x1b'), std::string::npos);
  }
  expect_corrupt(changed([](FieldSpec& field) { field.name = "x"; }), "shares its name");
}

TEST(HostileSchema, RefusesTwoTypesOfOneName) {
  SchemaSpec spec = good();
  spec.objects.push_back({"R", {}});
  expect_corrupt(spec, "two types have the name R");
  spec = good();
  spec.enums.push_back({"R", {{"A", 0}}});
  expect_corrupt(spec, "two types have the name R");
}

TEST(HostileSchema, RefusesDefaultsOutsideTheRangeOfTheirType) {
  expect_corrupt(changed([](FieldSpec& f) { f.type.base = rf::UByte, f.default_integer = 256; }), "default");
  expect_corrupt(changed([](FieldSpec& f) { f.type.base = rf::UByte, f.default_integer = -1; }), "default");
  expect_corrupt(changed([](FieldSpec& f) { f.type.base = rf::Bool, f.default_integer = 2; }), "default");
  expect_corrupt(changed([](FieldSpec& f) { f.type.base = rf::Byte, f.default_integer = 128; }), "default");
  expect_corrupt(changed([](FieldSpec& f) { f.type.base = rf::Float, f.default_real = 1e300; }), "default");
}

TEST(HostileSchema, RefusesRequiredNumbers) {
  expect_corrupt(changed([](FieldSpec& field) { field.required = true; }), "required");
}

TEST(HostileSchema, RefusesAStructThatHoldsItself) {
  expect_corrupt(with_struct({{"s", {rf::Obj, 0, 1}, 0, 0}}, 4, 4), "holds itself");
  SchemaSpec spec = with_struct({{"s", {rf::Obj, 0, 2}, 0, 0}}, 4, 4);
  spec.objects.push_back({"T", {{"s", {rf::Obj, 0, 1}, 0, 0}}, true, 4, 4});
  expect_corrupt(spec, "holds itself");
}

TEST(HostileSchema, RefusesStructsWithAnImpossibleLayout) {
  const FieldSpec number{"a", {rf::Int}, 0, 0};
  expect_corrupt(with_struct({number}, 0, 4), "alignment");
  expect_corrupt(with_struct({number}, 3, 3), "alignment");
  expect_corrupt(with_struct({number}, 64, 64), "alignment");
  expect_corrupt(with_struct({number}, -8, 8), "alignment");
  expect_corrupt(with_struct({number}, 4, 0), "size");
  expect_corrupt(with_struct({number}, 4, -4), "size");
  expect_corrupt(with_struct({number}, 4, 0x7ffffffc), "size");
  expect_corrupt(with_struct({}, 4, 4), "no fields");
  expect_corrupt(with_struct({{"a", {rf::Int}, 0, 4}}, 4, 4), "beyond its struct");
  expect_corrupt(with_struct({{"a", {rf::Int}, 0, 2}}, 4, 8), "not aligned");
  expect_corrupt(with_struct({{"a", {rf::Long}, 0, 0}}, 4, 8), "not aligned");
  expect_corrupt(with_struct({number, {"b", {rf::Int}, 1, 0}}, 4, 8), "overlaps");
  expect_corrupt(with_struct({{"a", {rf::Array, rf::Int, -1, 65535}, 0, 0}}, 4, 8), "beyond its struct");
  expect_corrupt(with_struct({{"a", {rf::Array, rf::Int, -1, 0}, 0, 0}}, 4, 8), "empty");
}

TEST(HostileSchema, RefusesStructsThatHoldWhatHasNoFixedSize) {
  expect_corrupt(with_struct({{"a", {rf::String}, 0, 0}}, 4, 4), "not fixed");
  expect_corrupt(with_struct({{"a", {rf::Obj, 0, 0}, 0, 0}}, 4, 4), "not fixed");
  expect_corrupt(with_struct({{"a", {rf::Array, rf::String, -1, 2}, 0, 0}}, 4, 8), "not fixed");
  expect_corrupt(with_struct({{"a", {rf::Vector, rf::Int}, 0, 0}}, 4, 4), "holds a vector");
  expect_corrupt(with_struct({{"a", {rf::Int}, 0, 0, 0, 0, true}}, 4, 4), "required");
}

TEST(HostileSchema, RefusesUnionsThatDoNotFollowTheirDiscriminator) {
  const EnumSpec members{"U", {{"NONE", 0}, {"R", 1, {rf::Obj, 0, 0}}}, true, {rf::UType, 0, 0}};
  const FieldSpec discriminator{"u_type", {rf::UType, 0, 0}, 0, 4};
  const FieldSpec value{"u", {rf::Union, 0, 0}, 1, 6};
  const SchemaSpec right{{{"R", {discriminator, value}}}, {members}, "", 0};
  const auto model = SchemaModel::load(Builder().build(right));
  ASSERT_TRUE(model) << model.error().to_string();

  FieldSpec first = value;
  first.id = 0, first.offset = 4;
  expect_corrupt({{{"R", {first}}}, {members}, "", 0}, "does not follow its discriminator");
  expect_corrupt({{{"R", {discriminator}}}, {members}, "", 0}, "is not followed by its union");
  expect_corrupt({{{"R", {{"n", {}, 0, 4}, value}}}, {members}, "", 0}, "does not follow its discriminator");
}

TEST(HostileSchema, RefusesUnionMembersWithoutATable) {
  const auto schema = [](ValueSpec member) {
    return SchemaSpec{{{"R", {}}}, {{"U", {{"NONE", 0}, std::move(member)}, true, {rf::UType, 0, 0}}}, "", 0};
  };
  expect_corrupt(schema({"A", 1, {rf::Obj, 0, 9}}), "no type");
  expect_corrupt(schema({"A", 1, {rf::Obj, 0, -1}}), "no type");
  expect_corrupt(schema({"A", 256, {rf::Obj, 0, 0}}), "outside the range");
  expect_corrupt(schema({"A", 0, {rf::Obj, 0, 0}}), "NONE");
}

TEST(HostileSchema, RefusesEnumsWithDoubledOrImpossibleValues) {
  const auto schema = [](std::vector<ValueSpec> values, int underlying) {
    return SchemaSpec{{{"R", {}}}, {{"E", std::move(values), false, {underlying, 0, 0}}}, "", 0};
  };
  expect_corrupt(schema({{"A", 1}, {"B", 1}}, rf::UByte), "same as another value");
  expect_corrupt(schema({{"A", 1}, {"A", 2}}, rf::UByte), "same as another value");
  expect_corrupt(schema({{"A", 300}}, rf::UByte), "outside the range");
  expect_corrupt(schema({{"A", 1}}, rf::Double), "not made of integers");
  expect_corrupt(schema({{"A", 1}}, rf::Obj), "not made of integers");
}

TEST(HostileSchema, RefusesAnUnknownFeatureOfTheLanguageAsUnsupported) {
  SchemaSpec spec = good();
  spec.features = 0x100;
  expect_refused(spec, ErrorKind::kUnsupported, "0x100");
}

TEST(HostileSchema, RefusesAnIdentifierThatIsNotFourLetters) {
  SchemaSpec spec = good();
  spec.identifier = "TOOLONG";
  expect_corrupt(spec, "four printable letters");
  spec.identifier = "A\x1b[m";
  expect_corrupt(spec, "four printable letters");
}

TEST(HostileSchema, RefusesAStructAsRoot) {
  SchemaSpec spec = with_struct({{"a", {rf::Int}, 0, 0}}, 4, 4);
  std::swap(spec.objects[0], spec.objects[1]);
  spec.objects[1].fields[0].type.index = 0;
  expect_corrupt(spec, "root");
}

TEST(HostileSchema, RefusesWhatIsNoBinarySchemaAtAll) {
  for (const std::size_t size : {0, 1, 4, 7, 8, 64}) {
    const auto model = SchemaModel::load(ByteVector(size));
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().kind(), ErrorKind::kCorrupt);
  }
}

// The FlatBuffers verifier looks at every use of a shared part anew; on this schema it takes seconds.
TEST(HostileSchema, SharedDocumentationCannotMakeLoadingSlow) {
  fb::FlatBufferBuilder fbb;
  const std::vector<fb::Offset<fb::String>> lines(100000, fbb.CreateString(""));
  const auto documentation = fbb.CreateVector(lines);
  std::vector<fb::Offset<rf::Field>> fields;
  const auto type = rf::CreateType(fbb, rf::Int);
  for (int i = 0; i < 5000; ++i) {
    const auto name = fbb.CreateString("f" + std::to_string(i));
    fields.push_back(rf::CreateField(fbb, name, type, static_cast<std::uint16_t>(i),
                                     static_cast<std::uint16_t>(4 + 2 * i), 0, 0, false, false, false, 0,
                                     documentation));
  }
  const auto object = rf::CreateObjectDirect(fbb, "R", &fields);
  std::vector<fb::Offset<rf::Object>> objects{object};
  std::vector<fb::Offset<rf::Enum>> enums;
  fbb.Finish(rf::CreateSchemaDirect(fbb, &objects, &enums, nullptr, nullptr, object), "BFBS");
  const ByteView bfbs = as_byte_view(fbb.GetBufferPointer(), fbb.GetSize());
  ASSERT_LT(bfbs.size(), Limits().max_schema_size);

  const auto start = std::chrono::steady_clock::now();
  const auto model = SchemaModel::load(bfbs);
  const auto spent = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind(), ErrorKind::kLimitExceeded) << model.error().to_string();
  EXPECT_LT(spent, std::chrono::seconds(30));
}

TEST(HostileSchema, EveryTruncationThatLosesMoreThanPaddingIsRefused) {
  const ByteVector bfbs = compile_schema(
      "enum E : ubyte { A, B } struct S { a: int; b: [short:3]; } "
      "table R { s: S (id: 0); e: E (id: 1); n: string (id: 2); } root_type R;");
  for (std::size_t size = 0; size + 4 <= bfbs.size(); ++size) {
    // A copy of exactly that size, so that reading past the end is seen by the sanitizers.
    const ByteVector cut(bfbs.begin(), bfbs.begin() + static_cast<std::ptrdiff_t>(size));
    const auto model = SchemaModel::load(cut);
    ASSERT_FALSE(model) << size << " of " << bfbs.size();
    EXPECT_EQ(model.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(HostileSchema, SingleByteDamageIsEitherRefusedOrLeavesAConsistentModel) {
  const ByteVector good_bytes = compile_schema(
      "enum E : ubyte { A, B } struct S { a: int; b: [short:3]; } table T { x: int (id: 0); } union U { T } "
      "table R { s: S (id: 0); e: E (id: 1); n: [string] (id: 2); u: U (id: 4); } root_type R;");
  ASSERT_TRUE(SchemaModel::load(good_bytes));
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good_bytes.size(); ++at) {
    for (const unsigned change : {0x01u, 0x80u, 0xffu}) {
      ByteVector bytes = good_bytes;
      bytes[at] ^= static_cast<std::byte>(change);
      const auto model = SchemaModel::load(bytes);
      if (!model) {
        ++refused;
        EXPECT_TRUE(model.error().kind() == ErrorKind::kCorrupt ||
                    model.error().kind() == ErrorKind::kUnsupported ||
                    model.error().kind() == ErrorKind::kLimitExceeded)
            << model.error().to_string();
        continue;
      }
      for (const Object& object : model->objects()) {
        for (const Field& field : object.fields) {
          EXPECT_FALSE(model->describe(field.type).empty());
          EXPECT_GT(model->inline_size(field.type), 0u);
        }
      }
    }
  }
  EXPECT_GT(refused, good_bytes.size() / 2);
}

}  // namespace
}  // namespace vmsnap::reflect
