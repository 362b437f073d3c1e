// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/state_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../reflect/flatc.h"
#include "any_data.h"
#include "reflect/content.h"

namespace vmsnap::compat {
namespace {

using reflect::compile_data;
using reflect::compile_model;
using reflect::SchemaModel;
using testing::HasSubstr;

constexpr const char* kSchema = R"(
namespace t;
enum Color : ubyte { Red = 0, Green = 3 }
struct Point { x: short; y: long; marks: [ubyte:3]; }
struct Grid { corners: [Point:2]; color: Color; }
table Leaf { number: int = -5; text: string; }
table Other { value: ulong; }
union Choice { Leaf, Second: Leaf, Other }
table Root (chunk_name: "t", chunk_version: "1.0") {
  flag: bool;
  small: byte;
  large: ulong = 7;
  maybe: ushort = null;
  color: Color;
  real: double = 0.5;
  name: string (required);
  bytes: [ubyte];
  words: [uint];
  colors: [Color];
  names: [string];
  points: [Point];
  grid: Grid;
  leaf: Leaf;
  leaves: [Leaf];
  choice: Choice;
  last: long = null;
}
root_type Root;
file_identifier "TTTT";
)";

class StateTreeTest : public testing::Test {
 protected:
  [[nodiscard]] StateTree decoded(const char* json) const {
    auto tree = StateTree::decode(model_, compile_data(kSchema, json));
    EXPECT_TRUE(tree) << tree.error().to_string();
    return std::move(*tree);
  }
  [[nodiscard]] StateTree with_name() const {
    StateTree tree(model_);
    EXPECT_TRUE(tree.set("name", "n"));
    return tree;
  }
  [[nodiscard]] std::string digest(const ByteVector& data) const {
    const auto digest = reflect::content_digest(model_, data);
    EXPECT_TRUE(digest) << digest.error().to_string();
    return to_string(*digest);
  }

  SchemaModel model_ = compile_model(kSchema);
};

TEST_F(StateTreeTest, SetValuesAreTheOnesThatFlatcWouldWrite) {
  StateTree tree(model_);
  ASSERT_TRUE(tree.set("flag", true));
  ASSERT_TRUE(tree.set("small", -3));
  ASSERT_TRUE(tree.set("large", ~std::uint64_t{0}));
  ASSERT_TRUE(tree.set("maybe", std::optional<std::uint16_t>(0)));
  ASSERT_TRUE(tree.set("color", 3));
  ASSERT_TRUE(tree.set("name", "a name"));
  ASSERT_TRUE(tree.set("bytes", std::vector<std::uint8_t>{1, 2, 255}));
  ASSERT_TRUE(tree.set("words", std::vector<std::uint32_t>{70000}));
  ASSERT_TRUE(tree.append("names"));
  ASSERT_TRUE(tree.set("names[0]", std::string("first")));
  ASSERT_TRUE(tree.append("points"));
  ASSERT_TRUE(tree.set("points[0].x", -1));
  ASSERT_TRUE(tree.set("points[0].marks", std::vector<std::uint8_t>{7, 8, 9}));
  ASSERT_TRUE(tree.make("grid"));
  ASSERT_TRUE(tree.set("grid.corners[1].y", std::int64_t{-9}));
  ASSERT_TRUE(tree.set("leaf.text", "made on the way"));
  ASSERT_TRUE(tree.append("leaves"));
  ASSERT_TRUE(tree.append("leaves"));
  ASSERT_TRUE(tree.set("leaves[1].number", 4));
  ASSERT_TRUE(tree.make_member("choice", "Other"));
  ASSERT_TRUE(tree.set("choice.value", 12u));
  const auto bytes = tree.encode();
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  const ByteVector expected = compile_data(kSchema, R"({
    flag: true, small: -3, large: 18446744073709551615, maybe: 0, color: Green, name: "a name",
    bytes: [1, 2, 255], words: [70000], names: ["first"],
    points: [{x: -1, y: 0, marks: [7, 8, 9]}],
    grid: {corners: [{x: 0, y: 0, marks: [0, 0, 0]}, {x: 0, y: -9, marks: [0, 0, 0]}], color: Red},
    leaf: {text: "made on the way"}, leaves: [{}, {number: 4}], choice_type: Other, choice: {value: 12}})");
  EXPECT_EQ(digest(*bytes), digest(expected));
}

TEST_F(StateTreeTest, GivesBackWhatWasStored) {
  const StateTree tree = decoded(R"({
    flag: true, small: -3, maybe: 9, name: "x", bytes: [4, 5], words: [6], names: ["a", "b"],
    points: [{x: 1, y: 2, marks: [3, 4, 5]}], leaves: [{number: 8}], choice_type: Second, choice: {number: 1}})");
  EXPECT_TRUE(*tree.get<bool>("flag"));
  EXPECT_EQ(*tree.get<int>("small"), -3);
  EXPECT_EQ(*tree.get<std::uint64_t>("large"), 7u);
  EXPECT_EQ(*tree.get<std::optional<std::uint16_t>>("maybe"), 9);
  EXPECT_EQ(*tree.get<std::optional<std::int64_t>>("last"), std::nullopt);
  EXPECT_EQ(*tree.get<std::string>("name"), "x");
  EXPECT_EQ(*tree.get<std::vector<std::uint8_t>>("bytes"), (std::vector<std::uint8_t>{4, 5}));
  EXPECT_EQ(*tree.get<std::uint8_t>("bytes[1]"), 5);
  EXPECT_EQ(*tree.get<std::vector<std::uint32_t>>("words"), (std::vector<std::uint32_t>{6}));
  EXPECT_EQ(*tree.get<std::optional<std::vector<std::uint8_t>>>("colors"), std::nullopt);
  EXPECT_EQ(*tree.get<std::string>("names[1]"), "b");
  EXPECT_EQ(*tree.get<std::int64_t>("points[0].y"), 2);
  EXPECT_EQ(*tree.get<std::uint8_t>("points[0].marks[2]"), 5);
  EXPECT_EQ(*tree.get<int>("leaves[0].number"), 8);
  EXPECT_EQ(*tree.get<int>("choice.number"), 1);
  EXPECT_EQ(*tree.get<std::optional<std::string>>("leaf.text"), std::nullopt);
  EXPECT_EQ(*tree.count("names"), 2u);
  EXPECT_EQ(*tree.count("bytes"), 2u);
  EXPECT_EQ(*tree.count("colors"), 0u);
  EXPECT_TRUE(*tree.has("choice"));
  EXPECT_FALSE(*tree.has("leaf"));
  EXPECT_FALSE(*tree.has("leaf.text"));
  EXPECT_TRUE(*tree.has("flag"));
}

TEST_F(StateTreeTest, EqualTreesGiveEqualBytesHoweverTheyWereMade) {
  const ByteVector flatc =
      compile_data(kSchema, R"({name: "n", large: 1, leaves: [{number: 1, text: "t"}]})");
  StateTree tree = with_name();
  ASSERT_TRUE(tree.append("leaves"));
  ASSERT_TRUE(tree.set("leaves[0].text", "t"));
  ASSERT_TRUE(tree.set("leaves[0].number", 1));
  ASSERT_TRUE(tree.set("large", 1));
  EXPECT_EQ(*tree.encode(), *StateTree::decode(model_, flatc)->encode());
}

TEST_F(StateTreeTest, StoresNoDefaultsExceptWhereAbsenceIsAValue) {
  StateTree tree = with_name();
  const std::size_t least = tree.encode()->size();
  ASSERT_TRUE(tree.set("large", 7));
  ASSERT_TRUE(tree.set("flag", false));
  EXPECT_EQ(tree.encode()->size(), least);
  ASSERT_TRUE(tree.set("maybe", 0));
  const ByteVector with_zero = *tree.encode();
  EXPECT_GT(with_zero.size(), least);
  EXPECT_EQ(*StateTree::decode(model_, with_zero)->get<std::optional<std::uint16_t>>("maybe"), 0);
  ASSERT_TRUE(tree.clear("maybe"));
  EXPECT_EQ(tree.encode()->size(), least);
}

TEST_F(StateTreeTest, RefusesToEncodeWithoutARequiredField) {
  const auto bytes = StateTree(model_).encode();
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(bytes.error().field(), "name");
}

TEST_F(StateTreeTest, RefusesToEncodeMoreThanAMetaMayHold) {
  StateTree tree = with_name();
  ASSERT_TRUE(tree.set("bytes", ByteVector(std::size_t{17} << 20)));
  const auto bytes = tree.encode();
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind(), ErrorKind::kLimitExceeded);
}

TEST_F(StateTreeTest, RefusesPathsAndTypesThatTheSchemaDoesNotHave) {
  StateTree tree = decoded(R"({name: "n", points: [{x: 1, y: 2, marks: [3, 4, 5]}], maybe: 1})");
  const auto expect_internal = [](const auto& result, const char* what) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kInternal);
    EXPECT_THAT(result.error().to_string(), HasSubstr(what));
  };
  expect_internal(tree.get<bool>("nothing"), "t.Root has no field \"nothing\"");
  expect_internal(tree.get<bool>("leaf.nothing"), "t.Leaf has no field");
  expect_internal(tree.get<bool>("flag.x"), "without fields");
  expect_internal(tree.get<bool>("points.x"), "without fields");
  expect_internal(tree.get<bool>(""), "no path");
  expect_internal(tree.get<bool>("points[x]"), "no path");
  expect_internal(tree.get<bool>("flag."), "no path");
  expect_internal(tree.get<bool>("flag[0]"), "no list");
  expect_internal(tree.get<int>("points[1].x"), "1 elements");
  expect_internal(tree.get<int>("flag"), "does not hold");
  expect_internal(tree.get<bool>("small"), "does not hold");
  expect_internal(tree.get<std::uint8_t>("small"), "does not hold");
  expect_internal(tree.get<std::int64_t>("large"), "does not hold");
  expect_internal(tree.get<std::uint64_t>("real"), "does not hold");
  expect_internal(tree.get<std::uint64_t>("name"), "no number");
  expect_internal(tree.get<std::string>("flag"), "no text");
  expect_internal(tree.get<std::vector<std::uint8_t>>("words"), "1 bytes");
  expect_internal(tree.get<std::vector<std::uint8_t>>("names"), "no vector of numbers");
  expect_internal(tree.count("name"), "no list");
  expect_internal(tree.count("points[0]"), "no list");
  expect_internal(tree.set("small", 128), "128 does not fit");
  expect_internal(tree.set("small", -129), "-129 does not fit");
  expect_internal(tree.set("large", -1), "-1 does not fit");
  expect_internal(tree.set("last", ~std::uint64_t{0}), "does not fit");
  expect_internal(tree.set("flag", 1), "another kind");
  expect_internal(tree.set("large", true), "another kind");
  expect_internal(tree.set("name", 1), "another kind");
  expect_internal(tree.set("flag", "text"), "another kind");
  expect_internal(tree.set("words", ByteVector(4)), "1 bytes");
  expect_internal(tree.set("points[0].marks", ByteVector(4)), "takes 3 numbers");
  expect_internal(tree.set("points[0].marks[1]", 4), "single numbers");
  expect_internal(tree.set("choice.value", 4), "holds nothing yet");
  expect_internal(tree.set("choice_type", 1), "through its own field");
  expect_internal(tree.clear("points[0].x"), "struct");
  expect_internal(tree.clear("points[0]"), "element");
  expect_internal(tree.make("choice"), "no empty value");
  expect_internal(tree.make_member("choice", "Wrong"), "no member");
  expect_internal(tree.append("bytes"), "no list");
}

TEST_F(StateTreeTest, AsksForWhatAConversionCannotDoWithout) {
  const StateTree tree = with_name();
  const auto text = tree.get<std::string>("leaf.text");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(text.error().field(), "leaf.text");
}

TEST_F(StateTreeTest, SaysWhatItCouldNotKeepOfANewerMinor) {
  std::string newer = kSchema;
  newer.replace(newer.find("text: string;"), 13, "text: string; extra: int;");
  newer.replace(newer.find("Other }"), 7, "Other, Newest: Other }");
  const ByteVector data = compile_data(newer, R"({
    name: "n", leaf: {extra: 1}, leaves: [{}, {extra: 2, number: 3}], choice_type: Newest, choice: {value: 1}})");
  const auto tree = StateTree::decode(model_, data);
  ASSERT_TRUE(tree) << tree.error().to_string();
  ASSERT_EQ(tree->unknown().size(), 3u);
  EXPECT_EQ(tree->unknown()[0].path, "leaf");
  EXPECT_EQ(tree->unknown()[1].path, "leaves[1]");
  EXPECT_EQ(tree->unknown()[1].count, 1u);
  EXPECT_EQ(tree->unknown()[2].path, "choice");
  const auto bytes = tree->encode();
  ASSERT_TRUE(bytes);
  EXPECT_EQ(digest(*bytes),
            digest(compile_data(kSchema, R"({name: "n", leaf: {}, leaves: [{}, {number: 3}]})")));
}

TEST_F(StateTreeTest, RefusesDamagedDataAsItsReaderDoes) {
  ByteVector data = compile_data(kSchema, R"({name: "n"})");
  data.resize(data.size() - 4);
  const auto tree = StateTree::decode(model_, data);
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().kind(), ErrorKind::kCorrupt);
}

TEST_F(StateTreeTest, BoundsWhatSharedPartsUnfoldTo) {
  StateTree tree = with_name();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(tree.append("leaves"));
  reflect::Limits limits = tree_limits();
  limits.max_nodes = 50;
  const auto refused = StateTree::decode(model_, *tree.encode(), limits);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kLimitExceeded);
}

TEST_F(StateTreeTest, ShowsValuesInASentence) {
  const StateTree tree = decoded(R"({
    flag: true, small: -3, color: Green, name: "a\"\n", bytes: [1, 2], names: ["x", "y"], real: 1.5,
    leaf: {number: 3}, choice_type: Other, choice: {value: 12}})");
  const auto shown = [&](const char* path, std::size_t length = 100) {
    const auto place = tree.find(path);
    EXPECT_TRUE(place) << place.error().to_string();
    return render(model_, *place->field, *place->value, length);
  };
  EXPECT_EQ(shown("flag"), "true");
  EXPECT_EQ(shown("small"), "-3");
  EXPECT_EQ(shown("color"), "Green");
  EXPECT_EQ(shown("real"), "1.5");
  EXPECT_EQ(shown("name"), "\"a\\\"\\n\"");
  EXPECT_EQ(shown("bytes"), "[1, 2]");
  EXPECT_EQ(shown("names"), "[\"x\", \"y\"]");
  EXPECT_EQ(shown("leaf"), "{number: 3}");
  EXPECT_EQ(shown("choice"), "{value: 12}");
  EXPECT_EQ(shown("last"), "absent");
  EXPECT_EQ(shown("names", 5), "[\"x\", ...");
}

TEST_F(StateTreeTest, ShowsNoPartOfACharacterWhereItCutsAText) {
  const StateTree tree = decoded(R"({name: "ab\u20ac\u20ac\u20ac"})");
  const auto place = tree.find("name");
  ASSERT_TRUE(place) << place.error().to_string();
  const std::size_t ends[] = {0, 1, 2, 3, 3, 3, 6, 6, 6, 9, 9, 9};
  for (std::size_t length = 0; length < std::size(ends); ++length) {
    EXPECT_EQ(render(model_, *place->field, *place->value, length),
              std::string("\"ab\u20ac\u20ac\u20ac").substr(0, ends[length]) + " ...");
  }
}

TEST_F(StateTreeTest, KeepsAnyDataOfAnySchema) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    reflect::AnyDataOptions options;
    options.seed = seed;
    options.every_field = seed % 2 == 0;
    const ByteVector data = reflect::make_any_data(model_, options);
    const auto tree = StateTree::decode(model_, data);
    ASSERT_TRUE(tree) << tree.error().to_string();
    const auto bytes = tree->encode();
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    EXPECT_EQ(digest(*bytes), digest(data)) << seed;
  }
}

}  // namespace
}  // namespace vmsnap::compat
