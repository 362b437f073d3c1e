// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/evolution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flatc.h"

namespace vmsnap::reflect {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kFrozen = R"(
namespace v.s;
enum Mode : ubyte { Off = 0, On = 1, Auto = 2 }
struct Pair { index: uint; value: uint; }
table Spare { x: uint (id: 0); }
table Disk { path: string (id: 0); }
table Net { mac: string (id: 0); }
union Backend { Disk, Net }
table Queue { size: ushort (id: 0); address: ulong (id: 1, gpa); }
table Thing (chunk_name: "thing", chunk_version: "1.0") {
  mode: Mode (id: 0);
  limit: uint = 7 (id: 1);
  elapsed: ulong (id: 2, unit: "ns");
  pairs: [Pair] (id: 3, required);
  queues: [Queue] (id: 4);
  backend: Backend (id: 6);
  name: string (id: 7);
  flags: uint (id: 8, hex);
  last: uint (id: 9);
}
root_type Thing;
file_identifier "THNG";
)";

struct Change {
  std::string from;
  std::string to;
};

std::string changed(const std::vector<Change>& changes) {
  std::string text(kFrozen);
  for (const Change& change : changes) {
    const auto at = text.find(change.from);
    EXPECT_NE(at, std::string::npos) << change.from;
    if (at != std::string::npos) text.replace(at, change.from.size(), change.to);
  }
  return text;
}

const Change kNextMinor{"\"1.0\"", "\"1.1\""};

std::string violations_of(const std::vector<Change>& changes) {
  std::string lines;
  for (const auto& violation : check_evolution(compile_model(kFrozen), compile_model(changed(changes)))) {
    lines += violation.where + ": " + violation.sentence + "\n";
  }
  return lines;
}

bool conform_catches(const std::vector<Change>& changes) {
  return !flatc_conforms(kFrozen, changed(changes));
}

TEST(Evolution, AcceptsTheSameSchema) {
  EXPECT_THAT(violations_of({}), IsEmpty());
  EXPECT_FALSE(conform_catches({}));
}

TEST(Evolution, AcceptsWhatAMinorVersionMayDo) {
  EXPECT_THAT(violations_of(
                  {kNextMinor, {"last: uint (id: 9);", "last: uint (id: 9); more: ulong = null (id: 10);"}}),
              IsEmpty());
  EXPECT_THAT(violations_of({kNextMinor, {"Auto = 2", "Auto = 2, Turbo = 3"}}), IsEmpty());
  EXPECT_THAT(violations_of({kNextMinor, {"{ Disk, Net }", "{ Disk, Net, Spare }"}}), IsEmpty());
  EXPECT_THAT(violations_of({{"last: uint (id: 9)", "last: uint (id: 9, deprecated)"}}), IsEmpty());
  EXPECT_THAT(violations_of({{"flags: uint (id: 8, hex)", "flags: uint (id: 8)"}}), IsEmpty());
  EXPECT_THAT(violations_of({{"last: uint (id: 9)", "last: uint (id: 9, unit: \"ms\")"}}), IsEmpty());
  EXPECT_THAT(violations_of({{"  mode: Mode", "  /// What it does.\n  mode: Mode"}}), IsEmpty());
}

TEST(Evolution, AcceptsThatATableWhichTheRootNeverReachedGoesAway) {
  EXPECT_THAT(violations_of({{"table Spare { x: uint (id: 0); }", ""}}), IsEmpty());
}

TEST(Evolution, DemandsAHigherMinorForEveryAddition) {
  EXPECT_THAT(
      violations_of({{"last: uint (id: 9);", "last: uint (id: 9); more: uint (id: 10);"}}),
      HasSubstr("v.s.Thing.more: was added to version 1.0, which is frozen; raise chunk_version to 1.1"));
  EXPECT_THAT(violations_of({{"Auto = 2", "Auto = 2, Turbo = 3"}}),
              HasSubstr("v.s.Mode.Turbo: was added to version 1.0"));
  EXPECT_THAT(violations_of({{"{ Disk, Net }", "{ Disk, Net, Spare }"}}),
              HasSubstr("v.s.Backend.Spare: was added"));
}

TEST(Evolution, RefusesAVersionThatGoesBackOrIsNoVersion) {
  EXPECT_THAT(violations_of({{"\"1.0\"", "\"0.9\""}}), HasSubstr("chunk_version was 1.0 and is 0.9"));
  EXPECT_THAT(violations_of({{"\"1.0\"", "\"one\""}}), HasSubstr("no \"major.minor\""));
  EXPECT_THAT(violations_of({{", chunk_version: \"1.0\"", ""}}), HasSubstr("chunk_version is missing"));
  const SchemaModel newer = compile_model(changed({kNextMinor}));
  const auto back = check_evolution(newer, compile_model(kFrozen));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_THAT(back[0].sentence, HasSubstr("went back from 1.1 to 1.0"));
}

// What `flatc --conform` catches as well.
TEST(Evolution, RefusesAChangedType) {
  const std::vector<Change> same_size{{"last: uint (id: 9)", "last: int (id: 9)"}};
  EXPECT_THAT(violations_of(same_size), HasSubstr("v.s.Thing.last: was of type uint and is of type int"));
  EXPECT_TRUE(conform_catches(same_size));
  EXPECT_THAT(violations_of({{"queues: [Queue]", "queues: [Spare]"}}),
              HasSubstr("[v.s.Queue] and is of type [v.s.Spare]"));
  EXPECT_THAT(violations_of({{"name: string", "name: [ubyte]"}}),
              HasSubstr("was of type string and is of type [ubyte]"));
}

TEST(Evolution, RefusesAChangedDefault) {
  const std::vector<Change> changes{{"limit: uint = 7", "limit: uint = 8"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Thing.limit: its default changed from 7 to 8"));
  EXPECT_TRUE(conform_catches(changes));
}

TEST(Evolution, RefusesARenumberedEnumValue) {
  const std::vector<Change> changes{{"On = 1, Auto = 2", "On = 2, Auto = 3"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Mode.On: the value 1 is gone"));
  EXPECT_TRUE(conform_catches(changes));
}

TEST(Evolution, RefusesAnotherUnderlyingTypeOfAnEnum) {
  EXPECT_THAT(violations_of({{"enum Mode : ubyte", "enum Mode : ushort"}}),
              HasSubstr("v.s.Mode: was an enum of ubyte and is an enum of ushort"));
}

TEST(Evolution, RefusesReorderedUnionMembers) {
  const std::vector<Change> changes{{"{ Disk, Net }", "{ Net, Disk }"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("the union member was v.s.Disk and is v.s.Net"));
  EXPECT_TRUE(conform_catches(changes));
}

TEST(Evolution, RefusesReorderedStructFields) {
  const std::vector<Change> changes{{"index: uint; value: uint;", "value: uint; index: uint;"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Pair.index: field 0 is now called value"));
  EXPECT_TRUE(conform_catches(changes));
}

// What `flatc --conform` lets pass, although it breaks snapshots or their readers.
TEST(Evolution, RefusesADeletedLastFieldWhichConformMisses) {
  const std::vector<Change> changes{{"last: uint (id: 9);", ""}};
  EXPECT_THAT(violations_of(changes),
              HasSubstr("v.s.Thing.last: field 9 is gone; mark it deprecated instead"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesADeletedUnionMemberWhichConformMisses) {
  const std::vector<Change> changes{{"{ Disk, Net }", "{ Disk }"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Backend.Net: the value 2 is gone"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesADeletedEnumValueWhichConformMisses) {
  const std::vector<Change> changes{{", Auto = 2", ""}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Mode.Auto: the value 2 is gone"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesRequiredAddedOrDroppedWhichConformMisses) {
  const std::vector<Change> added{{"name: string (id: 7)", "name: string (id: 7, required)"}};
  EXPECT_THAT(violations_of(added), HasSubstr("v.s.Thing.name: gained \"required\""));
  EXPECT_FALSE(conform_catches(added));
  const std::vector<Change> dropped{{"pairs: [Pair] (id: 3, required)", "pairs: [Pair] (id: 3)"}};
  EXPECT_THAT(violations_of(dropped), HasSubstr("v.s.Thing.pairs: lost \"required\""));
  EXPECT_FALSE(conform_catches(dropped));
}

TEST(Evolution, RefusesARequiredNewFieldWhichConformMisses) {
  const std::vector<Change> changes{
      kNextMinor, {"last: uint (id: 9);", "last: uint (id: 9); more: string (id: 10, required);"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Thing.more: the new field is required"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesAGrownStructWhichConformMisses) {
  const std::vector<Change> changes{{"value: uint; }", "value: uint; more: uint; }"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("v.s.Pair: the struct had 2 fields in 8 bytes"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesARealignedStructWhichConformMisses) {
  const std::vector<Change> changes{{"struct Pair {", "struct Pair (force_align: 8) {"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("aligned to 4 and has 2 in 8 aligned to 8"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesAnotherRootWhichConformMisses) {
  const std::vector<Change> changes{{"root_type Thing", "root_type Queue"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("the root table was v.s.Thing and is v.s.Queue"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesAnotherFileIdentifierWhichConformMisses) {
  const std::vector<Change> changes{{"\"THNG\"", "\"THNK\""}};
  EXPECT_THAT(violations_of(changes), HasSubstr("the file identifier was \"THNG\" and is \"THNK\""));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesAnotherNamespaceWhichConformMisses) {
  const std::vector<Change> changes{{"namespace v.s;", "namespace v.t;"}};
  EXPECT_THAT(violations_of(changes), HasSubstr("the root table was v.s.Thing and is v.t.Thing"));
  EXPECT_FALSE(conform_catches(changes));
}

TEST(Evolution, RefusesAnotherChunkName) {
  EXPECT_THAT(violations_of({{"\"thing\"", "\"thingy\""}}),
              HasSubstr("chunk_name was \"thing\" and is \"thingy\""));
}

TEST(Evolution, RefusesRenamedFieldsAndValuesSinceTheNumberMayHaveBeenReused) {
  const std::vector<Change> field{{"last: uint (id: 9)", "other: uint (id: 9)"}};
  EXPECT_THAT(violations_of(field), HasSubstr("v.s.Thing.last: field 9 is now called other"));
  EXPECT_FALSE(conform_catches(field));
  EXPECT_THAT(violations_of({{"Auto = 2", "Best = 2"}}),
              HasSubstr("v.s.Mode.Auto: the value 2 is now called Best"));
}

TEST(Evolution, RefusesAFieldThatGainsOrLosesNull) {
  EXPECT_THAT(violations_of({{"last: uint (id: 9)", "last: uint = null (id: 9)"}}),
              HasSubstr("v.s.Thing.last: gained \"= null\""));
}

TEST(Evolution, RefusesAnotherUnitAndAnAddressThatIsNoneAnyMore) {
  EXPECT_THAT(violations_of({{"unit: \"ns\"", "unit: \"us\""}}),
              HasSubstr("v.s.Thing.elapsed: its unit was \"ns\" and is \"us\""));
  EXPECT_THAT(violations_of({{"(id: 2, unit: \"ns\")", "(id: 2)"}}),
              HasSubstr("its unit was \"ns\" and is \"\""));
  EXPECT_THAT(violations_of({{"(id: 1, gpa)", "(id: 1)"}}),
              HasSubstr("v.s.Queue.address: lost the attribute (gpa)"));
}

TEST(Evolution, RefusesThatADeprecatedFieldComesBack) {
  const auto violations =
      check_evolution(compile_model(changed({{"last: uint (id: 9)", "last: uint (id: 9, deprecated)"}})),
                      compile_model(kFrozen));
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_THAT(violations[0].sentence, HasSubstr("was deprecated and is in use again"));
}

TEST(Evolution, NamesEveryViolationNotOnlyTheFirst) {
  const auto violations = check_evolution(
      compile_model(kFrozen),
      compile_model(changed(
          {{"limit: uint = 7", "limit: uint = 8"}, {"unit: \"ns\"", "unit: \"us\""}, {", Auto = 2", ""}})));
  EXPECT_EQ(violations.size(), 3u);
}

}  // namespace
}  // namespace vmsnap::reflect
