// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/schema_model.h"

#include <gtest/gtest.h>

#include "flatc.h"

namespace vmsnap::reflect {
namespace {

constexpr std::string_view kSchema = R"(
namespace test.deep;
/// Colours of a lamp.
enum Colour : short {
  Dark = -3,
  /// The warm one.
  Red = 7
}
enum Shade : ushort { Light = 0, Deep = 1 }
enum Mask : ulong { Zero = 0, All = 18446744073709551615 }
table Disk { path: string (id: 0); }
table Net { mac: [ubyte] (id: 0, hex); }
union Backend { Disk, Net }
struct Inner { a: ubyte; b: ushort; }
struct Outer { tag: ubyte; pairs: [Inner:3]; digest: [ubyte:16] (hex); colour: Shade; }
/// A thing.
table Thing (chunk_name: "thing", chunk_version: "1.2") {
  /// First line.
  /// Second line, in ns.
  elapsed: ulong = null (id: 0, unit: "ns");
  backend: Backend (id: 2);
  colour: Colour = Red (id: 3);
  outer: Outer (id: 4);
  outers: [Outer] (id: 5);
  name: string (id: 6, required);
  old: int (id: 7, deprecated);
  ratio: float = 1.5 (id: 8);
  big: ulong = 9223372036854775807 (id: 9, hex);
  address: ulong (id: 10, gpa);
  page: [ubyte] (id: 11, image, required);
  things: [Thing] (id: 12);
  mask: Mask = All (id: 13);
  small: byte = -5 (id: 14);
}
root_type Thing;
file_identifier "THNG";
)";

const Field& field_of(const SchemaModel& model, std::string_view name) {
  const Field* field = model.root().find_field(name);
  EXPECT_NE(field, nullptr) << name;
  return field != nullptr ? *field : model.root().fields.at(0);
}

TEST(SchemaModel, KnowsTheRootItsIdentifierAndItsAttributes) {
  const SchemaModel model = compile_model(kSchema);
  EXPECT_EQ(model.root().name, "test.deep.Thing");
  EXPECT_EQ(model.file_identifier(), "THNG");
  ASSERT_NE(model.root().find_attribute("chunk_version"), nullptr);
  EXPECT_EQ(model.root().find_attribute("chunk_version")->value, "1.2");
  EXPECT_EQ(model.root().documentation, "A thing.");
}

TEST(SchemaModel, OrdersFieldsByIdWithTheDiscriminatorBeforeItsUnion) {
  const SchemaModel model = compile_model(kSchema);
  ASSERT_EQ(model.root().fields.size(), 15u);
  for (std::size_t i = 0; i < 15; ++i) {
    EXPECT_EQ(model.root().fields[i].id, i);
    EXPECT_EQ(model.root().fields[i].offset, 4 + 2 * i);
  }
  EXPECT_TRUE(model.root().fields[1].is_union_type);
  EXPECT_EQ(model.root().fields[1].name, "backend_type");
  EXPECT_EQ(model.root().fields[2].type.kind, Kind::kUnion);
}

TEST(SchemaModel, KeepsDefaultsOptionalRequiredAndDeprecated) {
  const SchemaModel model = compile_model(kSchema);
  EXPECT_TRUE(field_of(model, "elapsed").optional);
  EXPECT_FALSE(field_of(model, "colour").optional);
  EXPECT_FALSE(field_of(model, "outers").optional);
  EXPECT_EQ(field_of(model, "colour").default_value.as_signed(), 7);
  EXPECT_EQ(field_of(model, "ratio").default_value.as_double(), 1.5);
  EXPECT_EQ(field_of(model, "big").default_value.as_unsigned(), 0x7fffffffffffffffu);
  EXPECT_EQ(field_of(model, "small").default_value.as_signed(), -5);
  EXPECT_EQ(field_of(model, "small").default_value.bits, 0xfbu);
  EXPECT_TRUE(field_of(model, "name").required);
  EXPECT_FALSE(field_of(model, "things").required);
  EXPECT_TRUE(field_of(model, "old").deprecated);
}

TEST(SchemaModel, KeepsWhatTellsHowToShowAField) {
  const SchemaModel model = compile_model(kSchema);
  EXPECT_EQ(field_of(model, "elapsed").unit, "ns");
  EXPECT_EQ(field_of(model, "elapsed").documentation, "First line.\nSecond line, in ns.");
  EXPECT_TRUE(field_of(model, "big").hex);
  EXPECT_TRUE(field_of(model, "address").gpa);
  EXPECT_TRUE(field_of(model, "page").image);
  EXPECT_FALSE(field_of(model, "page").hex);
}

TEST(SchemaModel, LaysOutStructsWithArraysAndNestedStructs) {
  const SchemaModel model = compile_model(kSchema);
  const Object* outer = model.find_object("test.deep.Outer");
  ASSERT_NE(outer, nullptr);
  EXPECT_TRUE(outer->is_struct);
  EXPECT_EQ(outer->alignment, 2u);
  EXPECT_EQ(outer->size, 32u);
  EXPECT_EQ(outer->fields[1].offset, 2u);
  EXPECT_EQ(outer->fields[1].type.length, 3u);
  EXPECT_EQ(model.describe(outer->fields[1].type), "[test.deep.Inner:3]");
  EXPECT_EQ(outer->fields[2].offset, 14u);
  EXPECT_TRUE(outer->fields[2].hex);
  EXPECT_EQ(model.describe(outer->fields[3].type), "test.deep.Shade");
  EXPECT_EQ(model.inline_size(field_of(model, "outers").type), 32u);
}

TEST(SchemaModel, NamesEnumValuesOverTheWholeRangeOfTheirType) {
  const SchemaModel model = compile_model(kSchema);
  const Enum* colour = model.find_enum("test.deep.Colour");
  ASSERT_NE(colour, nullptr);
  EXPECT_EQ(colour->underlying, ScalarType::kI16);
  ASSERT_NE(colour->find_value(-3), nullptr);
  EXPECT_EQ(colour->find_value(-3)->name, "Dark");
  EXPECT_EQ(colour->find_value(7)->documentation, "The warm one.");
  EXPECT_EQ(colour->find_value(0), nullptr);
  const Enum* mask = model.find_enum("test.deep.Mask");
  ASSERT_NE(mask, nullptr);
  ASSERT_NE(mask->find_value(-1), nullptr);
  EXPECT_EQ(mask->find_value(-1)->name, "All");
}

TEST(SchemaModel, KnowsTheTableOfEachUnionMember) {
  const SchemaModel model = compile_model(kSchema);
  const Enum& backend = model.enumeration(field_of(model, "backend").type);
  EXPECT_TRUE(backend.is_union);
  ASSERT_EQ(backend.values.size(), 3u);
  EXPECT_EQ(backend.values[0].object, kNoIndex);
  EXPECT_EQ(model.objects()[backend.values[1].object].name, "test.deep.Disk");
}

TEST(SchemaModel, NeedsNoAlignmentAndOutlivesTheBytesItWasLoadedFrom) {
  ByteVector shifted = compile_schema(kSchema);
  shifted.insert(shifted.begin(), std::byte{0});
  auto model = SchemaModel::load(ByteView(shifted).subspan(1));
  ASSERT_TRUE(model) << model.error().to_string();
  std::fill(shifted.begin(), shifted.end(), std::byte{0xff});
  EXPECT_EQ(model->root().name, "test.deep.Thing");
}

TEST(SchemaModel, RefusesFeaturesThatStateMayNotUseAsUnsupportedNotAsDamage) {
  const std::string_view tables = "table A { x: int (id: 0); } table B { y: int (id: 0); } ";
  const std::string vector_of_unions =
      std::string(tables) + "union U { A, B } table R { u: [U] (id: 1); } root_type R;";
  const std::string union_of_string =
      std::string(tables) + "union U { A, text: string } table R { u: U (id: 1); } root_type R;";
  const std::string union_of_struct =
      std::string(tables) + "struct S { s: int; } union U { A, S } table R { u: U (id: 1); } root_type R;";
  for (const std::string& fbs : {vector_of_unions, union_of_string, union_of_struct}) {
    const auto model = SchemaModel::load(compile_schema(fbs));
    ASSERT_FALSE(model) << fbs;
    EXPECT_EQ(model.error().kind(), ErrorKind::kUnsupported) << model.error().to_string();
  }
}

TEST(SchemaModel, RefusesASchemaLargerThanTheLimitBeforeReadingIt) {
  Limits limits;
  limits.max_schema_size = 100;
  const auto model = SchemaModel::load(compile_schema(kSchema), limits);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(SchemaModel, RefusesStructsNestedDeeperThanTheLimit) {
  std::string fbs = "struct S0 { x: ubyte; }\n";
  for (int i = 1; i < 40; ++i)
    fbs += "struct S" + std::to_string(i) + " { s: S" + std::to_string(i - 1) + "; }\n";
  fbs += "table R { s: S39 (id: 0); } root_type R;";
  const ByteVector bfbs = compile_schema(fbs);
  const auto model = SchemaModel::load(bfbs);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind(), ErrorKind::kLimitExceeded) << model.error().to_string();
  Limits limits;
  limits.max_depth = 40;
  EXPECT_TRUE(SchemaModel::load(bfbs, limits));
}

}  // namespace
}  // namespace vmsnap::reflect
