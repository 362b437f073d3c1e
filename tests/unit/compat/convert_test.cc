// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/convert.h"

#include <flatbuffers/flatbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/flatbuffer.h"
#include "migrate/carry.h"
#include "reflect/content.h"
#include "toy.h"

namespace vmsnap::compat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChunkVersion k10{1, 0}, k11{1, 1}, k20{2, 0}, k21{2, 1}, k30{3, 0};

class ConvertTest : public testing::Test {
 protected:
  static LevelChunk target(ChunkVersion version, std::vector<std::string> features = {"extra"}) {
    return {"toy", version, std::move(features)};
  }
  static AllowedLosses allow(std::vector<std::string> names) {
    return *AllowedLosses::parse(std::move(names));
  }

  Conversion convert(ChunkVersion from, const char* json, const LevelChunk& to,
                     const AllowedLosses& allowed = {}) {
    auto conversion = migrator_.convert(Toy::entry(from), Toy::state(from, json), to, allowed);
    EXPECT_TRUE(conversion) << conversion.error().to_string();
    return std::move(*conversion);
  }

  void expect_content(const Conversion& conversion, const char* json) const {
    ASSERT_TRUE(conversion.converted) << refusal(conversion.report).to_string();
    const ChunkVersion version = conversion.converted->device.version;
    const auto model = reflect::SchemaModel::load(migrator_.find("toy", version)->schema);
    const auto equal =
        reflect::equal_by_content(*model, conversion.converted->state, Toy::state(version, json));
    ASSERT_TRUE(equal) << equal.error().to_string();
    EXPECT_TRUE(*equal) << json;
  }

  /// "kind field" of all outcomes, in order.
  static std::vector<std::string> said(const Conversion& conversion) {
    std::vector<std::string> words;
    for (const Outcome& outcome : conversion.report.outcomes) {
      words.push_back(std::string(to_string(outcome.kind)) + " " + outcome.field);
    }
    return words;
  }
  static const Outcome& outcome(const Conversion& conversion, std::string_view field) {
    for (const Outcome& candidate : conversion.report.outcomes) {
      if (candidate.field == field && candidate.kind != OutcomeKind::kCarried) return candidate;
    }
    ADD_FAILURE() << "nothing is said of " << field;
    return conversion.report.outcomes.front();
  }

  const Toy& toy_ = Toy::instance();
  Migrator migrator_ = toy_.migrator();
};

TEST_F(ConvertTest, CarriesWhatBothMinorsHaveAndDefaultsTheRest) {
  const Conversion up = convert(k10, R"({label: "a", mode: On, kept: 9, time: 3, name: "n", code: 7,
                                         parts: [{size: 1}, {size: 2}]})",
                                target(k11));
  expect_content(up, R"({label: "a", mode: On, kept: 9, time: 3, name: "n", code: 7,
                         parts: [{size: 1}, {size: 2}]})");
  EXPECT_THAT(said(up), ElementsAre("carried label", "carried mode", "carried kept", "carried maybe",
                                    "carried time", "carried name", "carried code", "carried parts",
                                    "defaulted parts.flag", "defaulted extra"));
  EXPECT_THAT(up.report.path, ElementsAre(k10, k11));
}

TEST_F(ConvertTest, LeavesTheStateAloneWhenNothingChanges) {
  ByteVector state = Toy::state(k11, R"({label: "a", parts: []})");
  const auto same = migrator_.convert(Toy::entry(k11), state, target(k11), {});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->converted->state, state);
  EXPECT_EQ(same->converted->device, Toy::entry(k11));
  EXPECT_THAT(same->report.outcomes, IsEmpty());
}

TEST_F(ConvertTest, LetsAStepSayWhatChanged) {
  const Conversion up = convert(k11, R"({label: "a", time: 3, code: 7, parts: [], extra: [1]})", target(k20));
  expect_content(up, R"({label: "a", time: 3000000000, wide_code: 7, parts: [], extra: [1]})");
  EXPECT_THAT(said(up),
              ElementsAre("carried label", "carried mode", "carried kept", "carried maybe", "converted time",
                          "converted code", "carried parts", "carried extra", "defaulted phase"));
  EXPECT_EQ(outcome(up, "time").value, "3 s");
  EXPECT_EQ(outcome(up, "time").sentence, "seconds became nanoseconds");
  EXPECT_EQ(outcome(up, "code").value, "0x7");
  EXPECT_EQ(outcome(up, "phase").sentence, "a second has just begun");
  EXPECT_EQ(outcome(up, "phase").value, "5");
}

TEST_F(ConvertTest, ReportsALossThatTheStepDoesNotMention) {
  const Conversion up = convert(k11, R"({label: "a", name: "gone", parts: []})", target(k20));
  EXPECT_FALSE(up.converted);
  EXPECT_TRUE(up.report.refused());
  EXPECT_EQ(outcome(up, "name").kind, OutcomeKind::kLost);
  EXPECT_TRUE(outcome(up, "name").noticeable);
  EXPECT_EQ(outcome(up, "name").value, "\"gone\"");
  EXPECT_THAT(refusal(up.report).to_string(), HasSubstr("isa0/toy@40.name = \"gone\""));
}

TEST_F(ConvertTest, ReportsPartsOfAListThatTheStepHasTakenPartsOf) {
  const Conversion up =
      convert(k21, R"({label: "a", parts: [{size: 1}, {size: 2, flag: true}, {size: 3}]})", target(k30));
  EXPECT_FALSE(up.converted);
  EXPECT_EQ(outcome(up, "parts[1].flag").kind, OutcomeKind::kLost);
  EXPECT_EQ(outcome(up, "parts[1].size").kind, OutcomeKind::kConverted);
  EXPECT_EQ(std::count_if(up.report.outcomes.begin(), up.report.outcomes.end(),
                          [](const Outcome& one) { return one.refused(); }),
            1);
}

TEST_F(ConvertTest, GoesAllTheWayUpAndDown) {
  const char* first = R"({label: "a", mode: On, maybe: 0, time: 3, code: 7, parts: [{size: 1}, {size: 2}]})";
  const Conversion up = convert(k10, first, target(k30));
  expect_content(up, R"({label: "a", mode: On, maybe: 0, time: 3000000000, wide_code: 7, total: 3})");
  EXPECT_THAT(up.report.path, ElementsAre(k10, k11, k20, k21, k30));
  const auto down = migrator_.convert(up.converted->device, up.converted->state, target(k10, {}), {});
  ASSERT_TRUE(down) << down.error().to_string();
  expect_content(*down, R"({label: "a", mode: On, maybe: 0, time: 3, code: 7, parts: [{size: 3}]})");
  EXPECT_EQ(down->converted->device.version, k10);
}

TEST_F(ConvertTest, DropsAnAppendedFieldThatHoldsNothing) {
  const Conversion down = convert(k11, R"({label: "a", parts: [{size: 1}], extra: []})", target(k10, {}));
  expect_content(down, R"({label: "a", parts: [{size: 1}]})");
}

TEST_F(ConvertTest, RefusesToLoseAnAppendedFieldAndSaysWhatFollows) {
  const char* json = R"({label: "a", parts: [], extra: [65]})";
  const Conversion down = convert(k11, json, target(k10, {}));
  EXPECT_FALSE(down.converted);
  EXPECT_EQ(outcome(down, "extra").value, "[65]");
  EXPECT_EQ(outcome(down, "extra").sentence, "the guest misses what it was sent");
  const Conversion allowed = convert(k11, json, target(k10, {}), allow({"isa0/toy@40.extra"}));
  expect_content(allowed, R"({label: "a", parts: []})");
  EXPECT_TRUE(outcome(allowed, "extra").allowed);
}

TEST_F(ConvertTest, LosesWhatTheGuestCannotNoticeWithoutAsking) {
  const Conversion down = convert(k21, R"({label: "a", parts: [], note: "n", phase: 9})", target(k11));
  ASSERT_TRUE(down.converted);
  EXPECT_FALSE(outcome(down, "note").noticeable);
  EXPECT_EQ(outcome(down, "note").sentence, "nobody reads notes");
  EXPECT_FALSE(outcome(down, "phase").noticeable);
  EXPECT_EQ(outcome(down, "phase").from, k20);
  EXPECT_EQ(outcome(down, "phase").to, k11);
}

TEST_F(ConvertTest, SaysNothingOfADeclaredLossThatDoesNotHappen) {
  const Conversion down = convert(k20, R"({label: "a", parts: []})", target(k11));
  ASSERT_TRUE(down.converted);
  for (const Outcome& one : down.report.outcomes) EXPECT_NE(one.kind, OutcomeKind::kLost) << one.field;
}

TEST_F(ConvertTest, CollectsAllLossesOfAChain) {
  const Conversion down =
      convert(k21, R"({label: "a", mode: Turbo, wide_code: 300, parts: [{flag: false}], extra: [1]})",
              target(k10, {}));
  EXPECT_FALSE(down.converted);
  const std::string sentence = refusal(down.report).to_string();
  for (const char* lost : {"wide_code = 0x12c (the guest reads another code)", "mode = Turbo",
                           "parts[0].flag = false", "extra = [1]"}) {
    EXPECT_THAT(sentence, HasSubstr(std::string("isa0/toy@40.") + lost));
  }
}

TEST_F(ConvertTest, KeepsAnEnumValueThatNeitherVersionNames) {
  const Conversion up = convert(k10, R"({label: "a", mode: 77, parts: []})", target(k11));
  expect_content(up, R"({label: "a", mode: 77, parts: []})");
}

TEST_F(ConvertTest, DropsTheNameOfAFeatureWithItsFields) {
  DeviceEntry entry = Toy::entry(k11);
  entry.features = {"extra"};
  const ByteVector state = Toy::state(k11, R"({label: "a", parts: [], extra: [1]})");
  const auto refused = migrator_.convert(entry, state, target(k10, {}), {});
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->converted);
  const auto down = migrator_.convert(entry, state, target(k10, {}), allow({"isa0/toy@40.extra"}));
  ASSERT_TRUE(down);
  EXPECT_THAT(down->converted->device.features, IsEmpty());
  const auto kept = migrator_.convert(entry, state, target(k21), {});
  ASSERT_TRUE(kept);
  EXPECT_THAT(kept->converted->device.features, ElementsAre("extra"));
}

TEST_F(ConvertTest, ClearsTheFieldsOfAFeatureThatTheTargetDoesNotKnowAtTheSameVersion) {
  DeviceEntry entry = Toy::entry(k11);
  entry.features = {"extra"};
  const ByteVector state = Toy::state(k11, R"({label: "a", parts: [], extra: [1]})");
  const auto refused = migrator_.convert(entry, state, target(k11, {}), {});
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->converted);
  const auto cleared = migrator_.convert(entry, state, target(k11, {}), allow({"isa0/toy@40.extra"}));
  ASSERT_TRUE(cleared);
  expect_content(*cleared, R"({label: "a", parts: []})");
  EXPECT_THAT(cleared->converted->device.features, IsEmpty());
}

TEST_F(ConvertTest, TreatsAFeatureThatNobodyDeclaresAsALoss) {
  StepRegistry registry = toy_registry();
  registry.appended_fields.clear();
  DeviceEntry entry = Toy::entry(k11);
  entry.features = {"extra"};
  const auto down = toy_.migrator(registry).convert(entry, Toy::state(k11, R"({label: "a", parts: []})"),
                                                    target(k10, {}), {});
  ASSERT_TRUE(down);
  EXPECT_FALSE(down->converted);
  EXPECT_EQ(outcome(*down, "features.extra").kind, OutcomeKind::kLost);
}

TEST_F(ConvertTest, NeverClaimsToBeReadableSinceMoreThanTheTarget) {
  DeviceEntry entry = Toy::entry(k11);
  entry.readable_since = k11;
  const auto down =
      migrator_.convert(entry, Toy::state(k11, R"({label: "a", parts: []})"), target(k10, {}), {});
  ASSERT_TRUE(down);
  EXPECT_EQ(down->converted->device.readable_since, k10);
}

TEST_F(ConvertTest, KeepsReadableSinceWithinAMajor) {
  const Conversion up = convert(k10, R"({label: "a", parts: []})", target(k11));
  EXPECT_EQ(up.converted->device.readable_since, k10);
}

TEST_F(ConvertTest, IsReadableSinceTheOldestMinorThatLosesNothingAfterAMajor) {
  const Conversion up = convert(k11, R"({label: "a", parts: []})", target(k21));
  EXPECT_EQ(up.converted->device.readable_since, k20);
  const Conversion plain = convert(k20, R"({label: "a", parts: []})", target(k11));
  EXPECT_EQ(plain.converted->device.readable_since, k10);
  const Conversion extra = convert(k20, R"({label: "a", parts: [], extra: [1]})", target(k11));
  EXPECT_EQ(extra.converted->device.readable_since, k11);
  const Conversion flag = convert(k20, R"({label: "a", parts: [{flag: false}]})", target(k11));
  EXPECT_EQ(flag.converted->device.readable_since, k11);
}

TEST_F(ConvertTest, RefusesTypesVersionsAndFeaturesThatItDoesNotKnow) {
  const ByteVector state = Toy::state(k10, R"({label: "a", parts: []})");
  const auto expect_unsupported = [&](const DeviceEntry& entry, const char* what) {
    const auto result = migrator_.convert(entry, state, target(k11), {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(result.error().device(), "isa0/toy@40");
    EXPECT_THAT(result.error().message(), HasSubstr(what));
  };
  DeviceEntry entry = Toy::entry(k10);
  entry.type = "wormhole";
  expect_unsupported(entry, "the device type wormhole");
  expect_unsupported(Toy::entry({4, 0}), "version 4.0 of toy");
  entry = Toy::entry({1, 9});
  entry.readable_since = {1, 2};
  expect_unsupported(entry, "needs a reader of toy 1.2");
  entry = Toy::entry(k10);
  entry.features = {"warp"};
  expect_unsupported(entry, "feature warp of toy");
}

TEST_F(ConvertTest, ReadsANewerMinorThatLetsItAndSaysWhatItLeavesBehind) {
  std::string newer = toy_schema({1, 1});
  newer.replace(newer.find("extra: [ubyte];"), 15, "extra: [ubyte]; newest: uint;");
  const ByteVector state = reflect::compile_data(newer, R"({label: "a", parts: [], newest: 4})");
  DeviceEntry entry = Toy::entry({1, 9});
  const auto down = migrator_.convert(entry, state, target(k11), {});
  ASSERT_TRUE(down) << down.error().to_string();
  expect_content(*down, R"({label: "a", parts: []})");
  EXPECT_EQ(down->converted->device.version, k11);
  EXPECT_FALSE(outcome(*down, "$unknown_fields").noticeable);
  EXPECT_THAT(down->report.path, ElementsAre(ChunkVersion{1, 9}, k11));

  // The same fields in a state that claims to be of a version without them.
  const auto lie = migrator_.convert(Toy::entry(k11), state, target(k20), {});
  ASSERT_TRUE(lie);
  EXPECT_FALSE(lie->converted);
}

TEST_F(ConvertTest, RefusesADamagedStateWithTheNameOfTheDevice) {
  ByteVector state = Toy::state(k10, R"({label: "a", parts: []})");
  state.resize(state.size() / 2);
  const auto result = migrator_.convert(Toy::entry(k10), state, target(k11), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(result.error().device(), "isa0/toy@40");
}

TEST_F(ConvertTest, RefusesAStepThatLeavesARequiredFieldOut) {
  StepRegistry registry = toy_registry();
  registry.steps[3].function = [](StepContext& step) -> Result<void> {
    VMSNAP_RETURN_IF_ERROR(step.take<std::uint64_t>("total"));
    return {};
  };
  const auto result =
      toy_.migrator(registry).convert(Toy::entry(k30), Toy::state(k30, R"({label: "a"})"), target(k21), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(result.error().field(), "parts");
}

TEST_F(ConvertTest, HandsOnWhatAStepRefuses) {
  StepRegistry registry = toy_registry();
  registry.steps[0].function = [](StepContext&) -> Result<void> {
    return Error(ErrorKind::kCorrupt, "it cannot be").in_field("code");
  };
  const auto result = toy_.migrator(registry).convert(
      Toy::entry(k11), Toy::state(k11, R"({label: "a", parts: []})"), target(k20), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().to_string(), "device isa0/toy@40: field code: it cannot be");
}

TEST_F(ConvertTest, FindsASchemaThatCannotBeUsed) {
  std::vector<ChunkType> types = toy_.types();
  types[0].schema = types[0].schema.subspan(0, 40);
  const auto migrator = Migrator::create(types, Toy::levels(), toy_registry());
  ASSERT_FALSE(migrator);
  EXPECT_EQ(migrator.error().kind(), ErrorKind::kInternal);
}

class LevelTest : public ConvertTest {
 protected:
  void add(ChunkVersion version, const char* json, std::vector<std::string> features = {}) {
    DeviceEntry entry = Toy::entry(version);
    entry.instance = static_cast<std::uint32_t>(manifest_.devices.size());
    entry.path = "isa0/toy@4" + std::to_string(entry.instance);
    entry.features = std::move(features);
    manifest_.devices.push_back(std::move(entry));
    bytes_.push_back(Toy::state(version, json));
    states_.assign(bytes_.begin(), bytes_.end());
  }

  Manifest manifest_;
  std::vector<ByteVector> bytes_;
  std::vector<ByteView> states_;
};

TEST_F(LevelTest, ConvertsEveryDeviceAndTheManifest) {
  manifest_.release_level = 3;
  manifest_.comment = "kept";
  add(k30, R"({label: "a", total: 4})");
  add(k11, R"({label: "b", parts: []})");
  add(k10, R"({label: "c", parts: []})");
  const auto result = migrator_.convert_to_level(manifest_, states_, 1, {});
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_TRUE(result->converted);
  EXPECT_EQ(result->converted->manifest.release_level, 1);
  EXPECT_EQ(result->converted->manifest.comment, "kept");
  for (const DeviceEntry& device : result->converted->manifest.devices) EXPECT_EQ(device.version, k10);
  EXPECT_EQ(result->converted->states.size(), 3u);
  EXPECT_EQ(result->converted->states[2], bytes_[2]);
  EXPECT_EQ(result->report.from_level, 3);
  EXPECT_EQ(result->report.to_level, 1);
  EXPECT_EQ(result->report.devices.size(), 3u);
}

TEST_F(LevelTest, CollectsTheLossesOfAllDevices) {
  add(k11, R"({label: "a", parts: [], extra: [1]})", {"extra"});
  add(k10, R"({label: "b", parts: []})");
  add(k11, R"({label: "c", mode: Turbo, parts: [], extra: [2]})", {"extra"});
  const auto result = migrator_.convert_to_level(manifest_, states_, 1, {});
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->converted);
  const Error error = refusal(result->report);
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  for (const char* lost :
       {"isa0/toy@40.extra = [1]", "isa0/toy@42.extra = [2]", "isa0/toy@42.mode = Turbo"}) {
    EXPECT_THAT(error.message(), HasSubstr(lost));
  }
  const AllowedLosses most = allow({"isa0/toy@40.extra", "isa0/toy@42.extra", "isa0/toy@41.extra"});
  const auto still = migrator_.convert_to_level(manifest_, states_, 1, most);
  ASSERT_TRUE(still);
  EXPECT_FALSE(still->converted);
  EXPECT_THAT(most.unused(still->report), ElementsAre("isa0/toy@41.extra"));
  const auto all = migrator_.convert_to_level(
      manifest_, states_, 1, allow({"isa0/toy@40.extra", "isa0/toy@42.extra", "isa0/toy@42.mode"}));
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->converted);
}

TEST_F(LevelTest, RefusesLevelsAndDevicesThatDoNotExist) {
  for (const std::uint16_t number : {std::uint16_t{0}, std::uint16_t{4}, std::uint16_t{65535}}) {
    const auto result = migrator_.convert_to_level(manifest_, states_, number, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(result.error().message(), HasSubstr("the levels 1 to 3"));
  }
  add(k10, R"({label: "b", parts: []})");
  manifest_.devices[0].type = "wormhole";
  const auto unknown = migrator_.convert_to_level(manifest_, states_, 1, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(unknown.error().message(), HasSubstr("wormhole"));
  const auto missing = migrator_.convert_to_level(manifest_, {}, 1, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kInternal);
}

TEST_F(LevelTest, SaysWhyALevelDoesNotKnowADevice) {
  add(k10, R"({label: "b", parts: []})");
  const auto refuse = [&](std::vector<ReleaseLevel> levels) {
    const auto migrator = Migrator::create(toy_.types(), std::move(levels), toy_registry());
    EXPECT_TRUE(migrator);
    const auto result = migrator->convert_to_level(manifest_, states_, 1, {});
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(result.error().device(), "isa0/toy@40");
    return std::string(result.error().message());
  };
  EXPECT_THAT(refuse({{1, {}, {}}, {2, {}, {{"toy", k10, {}}}}}), HasSubstr("it came later"));
  EXPECT_THAT(refuse({{1, {}, {}}, {2, {}, {}}}), HasSubstr("nor does any other"));
}

TEST_F(LevelTest, BoundsWhatTheSharedPartsOfManyStatesUnfoldTo) {
  // One part of 64 KiB, referred to 200 times by each of 24 states.
  flatbuffers::FlatBufferBuilder builder;
  const auto label = builder.CreateString(std::string(65536, 'x'));
  const std::vector<flatbuffers::Offset<flatbuffers::String>> labels(200, label);
  const auto list = builder.CreateVector(labels);
  const auto start = builder.StartTable();
  builder.AddOffset(4, list);
  builder.Finish(flatbuffers::Offset<void>(builder.EndTable(start)));
  const ByteVector state = take_bytes(builder);
  const char* older = "table T (chunk_name: \"t\", chunk_version: \"1.0\") { names: [string]; } root_type T;";
  const char* newer =
      "table T (chunk_name: \"t\", chunk_version: \"1.1\") { names: [string]; more: int; } root_type T;";
  const ByteVector schemas[] = {reflect::compile_schema(older), reflect::compile_schema(newer)};
  const std::vector<ChunkType> types{{FourCc("TTTT"), "t", k10, "T", schemas[0]},
                                     {FourCc("TTTT"), "t", k11, "T", schemas[1]}};
  const auto migrator = Migrator::create(types, {{1, {}, {{"t", k10, {}}}}, {2, {}, {{"t", k11, {}}}}}, {});
  ASSERT_TRUE(migrator);
  for (std::uint32_t i = 0; i < 24; ++i) {
    DeviceEntry entry = Toy::entry(k10);
    entry.instance = i;
    entry.type = "t";
    entry.path = "t" + std::to_string(i);
    manifest_.devices.push_back(entry);
    states_.emplace_back(state);
  }
  const auto result = migrator->convert_to_level(manifest_, states_, 2, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kLimitExceeded);
}

TEST(AllowedLosses, CoverAFieldAndItsParts) {
  const auto allowed = AllowedLosses::parse({"pci0/00:03.0.virtio.queues", "isa0/toy@40.parts.flag"});
  ASSERT_TRUE(allowed);
  EXPECT_TRUE(allowed->covers("pci0/00:03.0", "virtio.queues"));
  EXPECT_TRUE(allowed->covers("pci0/00:03.0", "virtio.queues[1].next_used_wrap"));
  EXPECT_FALSE(allowed->covers("pci0/00:03.0", "virtio.queues_more"));
  EXPECT_FALSE(allowed->covers("pci0/00:03.0", "virtio"));
  EXPECT_FALSE(allowed->covers("pci0/00:04.0", "virtio.queues"));
  EXPECT_TRUE(allowed->covers("isa0/toy@40", "parts[3].flag"));
  EXPECT_FALSE(allowed->covers("isa0/toy@40", "parts[3].size"));
}

TEST(AllowedLosses, RefuseWhatNamesNoField) {
  for (const char* name : {"", "isa0/toy@40", ".extra", "isa0/toy@40."}) {
    const auto allowed = AllowedLosses::parse({name});
    ASSERT_FALSE(allowed) << name;
    EXPECT_EQ(allowed.error().kind(), ErrorKind::kUsage);
  }
}

TEST(AppendedFields, AreFoundBelowTablesListsAndUnions) {
  const auto older = reflect::compile_model(
      "table Leaf { a: int; } union U { Leaf } table Root { leaf: Leaf; list: [Leaf]; u: U; more: [Root]; } "
      "root_type Root;");
  const auto newer = reflect::compile_model(
      "table Extra { z: int; } table Leaf { a: int; b: int; } union U { Leaf } "
      "table Root { leaf: Leaf; list: [Leaf]; u: U; more: [Root]; extra: Extra; } root_type Root;");
  EXPECT_THAT(appended_fields(older, newer), ElementsAre("leaf.b", "list.b", "u.b", "extra"));
  EXPECT_THAT(appended_fields(newer, newer), IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat
