// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/carry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../reflect/flatc.h"

namespace vmsnap::compat {
namespace {

using reflect::compile_data;
using reflect::compile_model;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// Carries a state from one schema to another without a step, and says what became of what.
class Carried {
 public:
  Carried(const std::string& from, const char* json, const std::string& to)
      : from_(compile_model(from)),
        to_(compile_model(to)),
        source(*StateTree::decode(from_, compile_data(from, json))),
        target(to_) {
    carry(source, target);
    std::vector<std::string> features;
    const StepContext nothing(source, target, features);
    const auto outcomes = outcomes_of(source, target, nothing, {1, 0}, {2, 0}, {});
    for (const Outcome& outcome : *outcomes) {
      said.push_back(std::string(to_string(outcome.kind)) + " " + outcome.field);
    }
  }

 private:
  reflect::SchemaModel from_;
  reflect::SchemaModel to_;

 public:
  StateTree source;
  StateTree target;
  std::vector<std::string> said;
};

TEST(Carry, NeedsTheSameNameTypeUnitAndMeaningOfAField) {
  const Carried carried(
      R"(table T { a: uint; b: uint; c: uint (unit: "s"); d: uint (gpa); e: uint (hex); f: uint; g: [ubyte]; }
         root_type T;)",
      R"({a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: [7]})",
      R"(table T { a: uint; b: ulong; c: uint (unit: "ns"); d: uint; e: uint (unit: "Hz"); h: uint; g: [ushort]; }
         root_type T;)");
  EXPECT_THAT(carried.said,
              ElementsAre("carried a", "lost b", "lost c", "lost d", "carried e", "lost f", "lost g",
                          "defaulted b", "defaulted c", "defaulted d", "defaulted h", "defaulted g"));
  EXPECT_EQ(*carried.target.get<std::uint32_t>("a"), 1u);
  EXPECT_EQ(*carried.target.get<std::uint64_t>("b"), 0u);
}

TEST(Carry, KeepsTheValueWhenTheDefaultChanges) {
  const Carried carried("table T { a: uint = 5; b: uint; } root_type T;", "{}",
                        "table T { a: uint = 6; b: uint = null; } root_type T;");
  EXPECT_EQ(*carried.target.get<std::uint32_t>("a"), 5u);
  EXPECT_EQ(*carried.target.get<std::optional<std::uint32_t>>("b"), 0u);
}

TEST(Carry, LeavesTheDefaultWhereAbsenceCannotBeSaid) {
  const Carried carried("table T { a: uint = null; b: uint = null; } root_type T;", "{b: 4}",
                        "table T { a: uint = 6; b: uint; } root_type T;");
  EXPECT_THAT(carried.said, ElementsAre("carried b", "defaulted a"));
  EXPECT_EQ(*carried.target.get<std::uint32_t>("a"), 6u);
}

TEST(Carry, GoesIntoTablesListsStructsAndUnions) {
  const char* from = R"(
    struct S { x: uint; y: uint; }
    table Leaf { a: uint; b: uint; }
    table Other { z: uint; }
    union U { Leaf, Other }
    table T { leaf: Leaf; list: [Leaf]; s: S; structs: [S]; names: [string]; u: U; v: U; }
    root_type T;)";
  const char* to = R"(
    struct S { x: uint; y: uint; }
    table Leaf { a: uint; c: uint = 9; }
    union U { Leaf }
    table T { leaf: Leaf; list: [Leaf]; s: S; structs: [S]; names: [string]; u: U; v: U; }
    root_type T;)";
  const Carried carried(from, R"({leaf: {a: 1}, list: [{a: 2}, {a: 3, b: 4}], s: {x: 5, y: 6},
                                  structs: [{x: 7, y: 8}], names: ["n"], u_type: Leaf, u: {a: 9},
                                  v_type: Other, v: {z: 1}})",
                        to);
  EXPECT_THAT(carried.said,
              ElementsAre("carried leaf", "carried list[0]", "carried list[1].a", "lost list[1].b",
                          "carried s", "carried structs", "carried names", "carried u", "lost v",
                          "defaulted leaf.c", "defaulted list.c", "defaulted u.c", "defaulted v"));
  const auto expected = compile_data(to, R"({leaf: {a: 1}, list: [{a: 2}, {a: 3}], s: {x: 5, y: 6},
                                             structs: [{x: 7, y: 8}], names: ["n"], u_type: Leaf, u: {a: 9}})");
  const auto model = compile_model(to);
  EXPECT_EQ(*carried.target.encode(), *StateTree::decode(model, expected)->encode());
}

TEST(Carry, CountsTheMerePresenceOfATableAsSomething) {
  const Carried carried("table Gone { a: uint; } table T { gone: Gone; list: [Gone]; } root_type T;",
                        "{gone: {}, list: []}", "table T { other: uint; } root_type T;");
  EXPECT_THAT(carried.said, ElementsAre("lost gone", "defaulted other"));
}

TEST(Carry, LeavesEnumValuesBehindThatOnlyTheSourceNames) {
  const Carried carried(
      "enum E : ubyte { A = 0, B = 1 } table T { one: E; all: [E]; other: [E]; } root_type T;",
      "{one: B, all: [A, B], other: [A, 7]}",
      "enum E : ubyte { A = 0 } table T { one: E; all: [E]; other: [E]; } root_type T;");
  EXPECT_THAT(carried.said,
              ElementsAre("lost one", "lost all", "carried other", "defaulted one", "defaulted all"));
}

class ContextTest : public testing::Test {
 protected:
  static constexpr const char* kSchema =
      "table Leaf { a: uint; b: uint; } table T { x: uint; leaf: Leaf; bytes: [ubyte]; } root_type T;";

  [[nodiscard]] std::vector<std::string> said() {
    std::vector<std::string> words;
    const auto outcomes = outcomes_of(source_, target_, step_, {1, 0}, {2, 0}, {});
    for (const Outcome& outcome : *outcomes) {
      words.push_back(std::string(to_string(outcome.kind)) + " " + outcome.field + " " + outcome.value);
    }
    return words;
  }

  reflect::SchemaModel model_ = compile_model(kSchema);
  StateTree source_ =
      *StateTree::decode(model_, compile_data(kSchema, "{x: 1, leaf: {a: 2, b: 3}, bytes: [4, 5]}"));
  StateTree target_{model_};
  std::vector<std::string> features_{"f"};
  StepContext step_{source_, target_, features_};
};

TEST_F(ContextTest, TakingUndoesTheCarrying) {
  carry(source_, target_);
  EXPECT_EQ(*step_.take<std::uint32_t>("leaf.a"), 2u);
  EXPECT_EQ(*target_.get<std::uint32_t>("leaf.a"), 0u);
  EXPECT_EQ(*target_.get<std::uint32_t>("leaf.b"), 3u);
  EXPECT_THAT(said(), UnorderedElementsAre("carried x ", "converted leaf.a 2", "carried leaf.b ",
                                           "carried bytes ", "defaulted leaf.a 0"));
}

TEST_F(ContextTest, PeekingChangesNothing) {
  carry(source_, target_);
  EXPECT_EQ(*step_.peek<std::uint32_t>("leaf.a"), 2u);
  EXPECT_THAT(said(), ElementsAre("carried x ", "carried leaf ", "carried bytes "));
}

TEST_F(ContextTest, ALostElementIsShownAlone) {
  carry(source_, target_);
  ASSERT_TRUE(step_.converted("bytes", "in other words"));
  ASSERT_TRUE(step_.lost("bytes[1]", "it is missed"));
  EXPECT_THAT(said(), UnorderedElementsAre("lost bytes[1] 5", "carried x ", "carried leaf ",
                                           "converted bytes [4, 5]", "defaulted bytes absent"));
}

TEST_F(ContextTest, RefusesPathsThatTheSchemasDoNotHave) {
  EXPECT_EQ(step_.take<bool>("nothing").error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(step_.lost("nothing", "").error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(step_.converted("nothing", "").error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(step_.defaulted("nothing", "").error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(step_.set("nothing", 1).error().kind(), ErrorKind::kInternal);
}

TEST_F(ContextTest, KeepsTheNamesOfFeatures) {
  EXPECT_TRUE(step_.uses_feature("f"));
  step_.add_feature("g");
  step_.add_feature("g");
  step_.drop_feature("f");
  EXPECT_FALSE(step_.uses_feature("f"));
  EXPECT_THAT(features_, ElementsAre("g"));
}

TEST(Carry, RefusesMoreOutcomesThanAnybodyWouldRead) {
  const char* from = "table Leaf { a: uint; b: uint; } table T { list: [Leaf]; } root_type T;";
  const auto model = compile_model(from);
  const auto smaller = compile_model("table Leaf { a: uint; } table T { list: [Leaf]; } root_type T;");
  StateTree source(model);
  for (int i = 0; i < 20000; ++i) {
    const auto index = source.append("list");
    ASSERT_TRUE(source.set("list[" + std::to_string(*index) + "].b", 1));
  }
  StateTree target(smaller);
  reopen(source);
  carry(source, target);
  std::vector<std::string> features;
  const StepContext step(source, target, features);
  const auto outcomes = outcomes_of(source, target, step, {1, 1}, {1, 0}, {});
  ASSERT_FALSE(outcomes);
  EXPECT_EQ(outcomes.error().kind(), ErrorKind::kLimitExceeded);
}

}  // namespace
}  // namespace vmsnap::compat
