// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/walker.h"

#include <flatbuffers/flatbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "any_data.h"
#include "flatc.h"
#include "misaligned.h"
#include "recorder.h"

namespace vmsnap::reflect {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fb = ::flatbuffers;

std::vector<std::string> events(const SchemaModel& model, ByteView data) {
  Recorder recorder;
  const auto report = walk(model, data, recorder);
  if (!report) return {report.error().to_string()};
  return recorder.lines;
}

Error refusal(const SchemaModel& model, ByteView data, const Limits& limits = {}) {
  Visitor nobody;
  const auto report = walk(model, data, nobody, limits);
  return report ? Error(ErrorKind::kInternal, "it was accepted") : report.error();
}

template <typename Build>
ByteVector finish(Build build, const char* identifier = nullptr) {
  fb::FlatBufferBuilder fbb;
  const auto root = build(fbb);
  fbb.Finish(fb::Offset<void>(root), identifier);
  const auto* begin = reinterpret_cast<const std::byte*>(fbb.GetBufferPointer());
  return {begin, begin + fbb.GetSize()};
}

TEST(Walker, ReportsEveryFieldInOrderOfIdWithDefaultsAndNulls) {
  const std::string_view fbs = R"(
    table R { b: int = 5 (id: 1); a: ubyte (id: 0); c: ulong = null (id: 2); d: string (id: 3); e: [int] (id: 4);
              f: R (id: 5); g: bool = true (id: 6); } root_type R;)";
  const SchemaModel model = compile_model(fbs);
  EXPECT_THAT(events(model, compile_data(fbs, "{}")),
              ElementsAre("{ R", "a: default", "0", "b: default", "5", "c: null", "null", "d: null", "null",
                          "e: null", "null", "f: null", "null", "g: default", "1", "}"));
  EXPECT_THAT(events(model, compile_data(fbs, R"({a: 1, b: -2, c: 0, d: "hi", e: [], g: false})")),
              ElementsAre("{ R", "a:", "1", "b:", "-2", "c:", "0", "d:", "\"hi\"", "e:", "()", "f: null",
                          "null", "g:", "0", "}"));
}

TEST(Walker, WalksStructsWithFixedArraysAndVectorsOfStructs) {
  const std::string_view fbs = R"(
    struct P { x: ubyte; y: short; } struct S { tag: uint; digest: [ubyte:4]; ps: [P:2]; }
    table R { s: S (id: 0); v: [P] (id: 1); } root_type R;)";
  const SchemaModel model = compile_model(fbs);
  const ByteVector data = compile_data(
      fbs, "{s: {tag: 9, digest: [1, 2, 3, 255], ps: [{x: 1, y: -1}, {x: 2, y: -2}]}, v: [{x: 7, y: 8}]}");
  EXPECT_THAT(events(model, data),
              ElementsAre("{ R", "s:", "{ S", "tag:", "9", "digest:", "(1 2 3 255)", "ps:", "[ 2", "{ P",
                          "x:", "1", "y:", "-1", "}", "{ P", "x:", "2", "y:", "-2", "}", "]", "}",
                          "v:", "[ 1", "{ P", "x:", "7", "y:", "8", "}", "]", "}"));
}

TEST(Walker, WalksListsOfTablesAndStrings) {
  const std::string_view fbs =
      "table T { n: int (id: 0); } table R { t: [T] (id: 0); s: [string] (id: 1); } root_type R;";
  const SchemaModel model = compile_model(fbs);
  EXPECT_THAT(events(model, compile_data(fbs, R"({t: [{n: 1}, {}], s: ["a", ""]})")),
              ElementsAre("{ R", "t:", "[ 2", "{ T", "n:", "1", "}", "{ T", "n: default", "0", "}", "]",
                          "s:", "[ 2", "\"a\"", "\"\"", "]", "}"));
}

constexpr std::string_view kUnion = R"(
  table A { x: int (id: 0); } table B { y: int (id: 0); } union U { A, B } table R { u: U (id: 1); } root_type R;)";

TEST(Walker, PassesThroughAUnionToTheMemberItHolds) {
  const SchemaModel model = compile_model(kUnion);
  EXPECT_THAT(events(model, compile_data(kUnion, "{u_type: B, u: {y: 3}}")),
              ElementsAre("{ R", "u_type:", "2", "u:", "{ B", "y:", "3", "}", "}"));
  EXPECT_THAT(events(model, compile_data(kUnion, "{}")),
              ElementsAre("{ R", "u_type: default", "0", "u: null", "null", "}"));
}

TEST(Walker, ReportsAUnionMemberOfANewerSchemaWithoutFollowingIt) {
  const std::string_view newer = R"(
    table A { x: int (id: 0); } table B { y: int (id: 0); } table C { z: string (id: 0); } union U { A, B, C }
    table R { u: U (id: 1); } root_type R;)";
  const SchemaModel model = compile_model(kUnion);
  Recorder recorder;
  const auto report = walk(model, compile_data(newer, R"({u_type: C, u: {z: "new"}})"), recorder);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(recorder.lines, ElementsAre("{ R", "u_type:", "3", "u:", "member 3?", "}"));
  ASSERT_EQ(report->remarks.size(), 1u);
  EXPECT_EQ(report->remarks[0].path, "u_type");
}

TEST(Walker, RemarksOnAUnionWhoseDiscriminatorAndValueDisagree) {
  const SchemaModel model = compile_model(kUnion);
  const auto build = [](std::uint8_t discriminator, bool value) {
    return finish([&](fb::FlatBufferBuilder& fbb) {
      const auto inner = fbb.StartTable();
      const auto member = fbb.EndTable(inner);
      const auto start = fbb.StartTable();
      fbb.AddElement<std::uint8_t>(4, discriminator);
      if (value) fbb.AddOffset(6, fb::Offset<void>(member));
      return fbb.EndTable(start);
    });
  };
  Visitor nobody;
  for (const auto& data : {build(0, true), build(1, false)}) {
    const auto report = walk(model, data, nobody);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->remark_count, 1u);
  }
}

TEST(Walker, CountsFieldsOfANewerMinorVersion) {
  const std::string_view old = "table R { a: int (id: 0); } root_type R;";
  const std::string_view newer = R"(
    table R { a: int (id: 0); b: int (id: 1); c: string (id: 2); d: int (id: 3); } root_type R;)";
  Recorder recorder;
  const auto report = walk(compile_model(old), compile_data(newer, R"({a: 1, b: 2, c: "x"})"), recorder);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->unknown_fields, 2u);
  EXPECT_THAT(recorder.lines, ElementsAre("{ R", "a:", "1", "} +2"));
}

TEST(Walker, RemarksOnValuesThatTheirTypeDoesNotAllowAndStillReportsThem) {
  const std::string_view as_bytes = R"(
    table R { flag: ubyte (id: 0); e: ubyte (id: 1); s: [ubyte] (id: 2); flags: [ubyte] (id: 3); } root_type R;)";
  const std::string_view fbs = R"(
    enum E : ubyte { A, B } table R { flag: bool (id: 0); e: E (id: 1); s: [ubyte] (id: 2); flags: [bool] (id: 3); }
    root_type R;)";
  Recorder recorder;
  const auto report =
      walk(compile_model(fbs), compile_data(as_bytes, "{flag: 7, e: 9, flags: [0, 1, 2]}"), recorder);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_THAT(recorder.lines,
              ElementsAre("{ R", "flag:", "7", "e:", "9", "s: null", "null", "flags:", "(0 1 2)", "}"));
  ASSERT_EQ(report->remarks.size(), 3u);
  EXPECT_EQ(report->remarks[0].path, "flag");
  EXPECT_EQ(report->remarks[0].sentence, "a bool holds 7");
  EXPECT_THAT(report->remarks[1].sentence, HasSubstr("no name for the value 9 of E"));
}

TEST(Walker, KeepsAtMostAHundredRemarksButCountsThemAll) {
  const std::string_view as_bytes = "table R { flags: [ubyte] (id: 0); } root_type R;";
  const std::string_view fbs = "table R { flags: [bool] (id: 0); } root_type R;";
  std::string json = "{flags: [2";
  for (int i = 1; i < 500; ++i) json += ", 2";
  Visitor nobody;
  const auto report = walk(compile_model(fbs), compile_data(as_bytes, json + "]}"), nobody);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->remark_count, 500u);
  EXPECT_EQ(report->remarks.size(), 100u);
}

TEST(Walker, RemarksOnTextThatIsNotUtf8AndHandsOverAllOfIt) {
  const SchemaModel model = compile_model("table R { s: string (id: 0); } root_type R;");
  const std::string text("a\0\xff\x1b", 4);
  const ByteVector data = finish([&](fb::FlatBufferBuilder& fbb) {
    const auto s = fbb.CreateString(text);
    const auto start = fbb.StartTable();
    fbb.AddOffset(4, s);
    return fbb.EndTable(start);
  });
  Recorder recorder;
  const auto report = walk(model, data, recorder);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->remark_count, 1u);
  EXPECT_THAT(recorder.lines, ElementsAre("{ R", "s:", "\"" + text + "\"", "}"));
}

TEST(Walker, RefusesDataThatLacksARequiredFieldAndNamesIt) {
  const std::string_view fbs = R"(
    table T { name: string (id: 0, required); } table R { list: [T] (id: 0); } root_type R;)";
  const std::string_view lax =
      "table T { name: string (id: 0); } table R { list: [T] (id: 0); } root_type R;";
  const Error error = refusal(compile_model(fbs), compile_data(lax, R"({list: [{name: "a"}, {}]})"));
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(error.field(), "list[1].name");
  EXPECT_THAT(error.message(), HasSubstr("required and missing"));
}

TEST(Walker, RefusesDataOfAnotherType) {
  const std::string_view fbs = "table R { a: int (id: 0); } root_type R; file_identifier \"AAAA\";";
  const std::string_view other = "table R { a: int (id: 0); } root_type R; file_identifier \"BBBB\";";
  const SchemaModel model = compile_model(fbs);
  EXPECT_EQ(events(model, compile_data(fbs, "{a: 1}")).size(), 4u);
  const Error error = refusal(model, compile_data(other, "{a: 1}"));
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(error.message(), HasSubstr("AAAA"));
}

TEST(Walker, RefusesDataLargerThanTheLimit) {
  const std::string_view fbs = "table R { a: int (id: 0); } root_type R;";
  Limits limits;
  limits.max_data_size = 8;
  EXPECT_EQ(refusal(compile_model(fbs), compile_data(fbs, "{a: 1}"), limits).kind(),
            ErrorKind::kLimitExceeded);
}

TEST(Walker, RefusesOrSurvivesEveryTruncation) {
  const std::string_view fbs = R"(
    struct S { a: int; b: [short:3]; } table T { x: int (id: 0); }
    table R { s: S (id: 0); v: [S] (id: 1); n: [string] (id: 2); t: [T] (id: 3); q: [ulong] (id: 4); } root_type R;)";
  const SchemaModel model = compile_model(fbs);
  AnyDataOptions options;
  const ByteVector data = make_any_data(model, options);
  ASSERT_EQ(refusal(model, data).kind(), ErrorKind::kInternal);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < data.size(); ++size) {
    const ByteVector cut(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
    if (refusal(model, cut).kind() == ErrorKind::kCorrupt) ++refused;
  }
  EXPECT_GE(refused + 8, data.size());  // only padding at the end can be missing without notice
}

TEST(Walker, RefusesAVtableOutsideTheData) {
  const std::string_view fbs = "table R { a: int (id: 0); } root_type R;";
  const SchemaModel model = compile_model(fbs);
  const ByteVector good = compile_data(fbs, "{a: 1}");
  const auto table = load_le<std::uint32_t>(good, 0);
  for (const std::int32_t distance : {-100000, -64, 100000, 1, 0x7fffffff, static_cast<int>(0x80000000)}) {
    ByteVector bytes = good;
    store_le<std::uint32_t>(bytes, table, static_cast<std::uint32_t>(distance));
    const Error error = refusal(model, bytes);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << distance;
    EXPECT_THAT(error.message(), HasSubstr("vtable"));
  }
  const auto vtable = table - load_le<std::uint32_t>(good, table);
  for (const unsigned size : {0u, 2u, 3u, 5u, 0x7fffu, 0xffffu, 0xfffeu}) {
    ByteVector bytes = good;
    store_le<std::uint16_t>(bytes, vtable, static_cast<std::uint16_t>(size));
    EXPECT_EQ(refusal(model, bytes).kind(), ErrorKind::kCorrupt) << size;
  }
}

TEST(Walker, RefusesFieldsVectorsAndStringsThatReachBeyondTheData) {
  const std::string_view fbs =
      "table R { a: [uint] (id: 0); s: string (id: 1); b: ulong (id: 2); } root_type R;";
  const SchemaModel model = compile_model(fbs);
  const ByteVector good = compile_data(fbs, R"({a: [1, 2], s: "abc", b: 3})");
  const auto table = load_le<std::uint32_t>(good, 0);
  const auto vtable = table - load_le<std::uint32_t>(good, table);
  const auto slot_of = [&](unsigned id) { return table + load_le<std::uint16_t>(good, vtable + 4 + 2 * id); };
  const auto vector = slot_of(0) + load_le<std::uint32_t>(good, slot_of(0));
  const auto string = slot_of(1) + load_le<std::uint32_t>(good, slot_of(1));

  for (const std::uint32_t count : {100u, 0x3fffffffu, 0x40000000u, 0xffffffffu}) {
    ByteVector bytes = good;
    store_le<std::uint32_t>(bytes, vector, count);
    EXPECT_EQ(refusal(model, bytes).field(), "a") << count;
    bytes = good;
    store_le<std::uint32_t>(bytes, string, count);
    EXPECT_EQ(refusal(model, bytes).field(), "s") << count;
  }
  for (const std::uint32_t distance : {0u, 0x7fffffffu, 0x80000000u, 0xfffffffcu}) {
    ByteVector bytes = good;
    store_le<std::uint32_t>(bytes, slot_of(0), distance);
    EXPECT_EQ(refusal(model, bytes).field(), "a") << distance;
  }
  for (const unsigned at : {0xfff8u, 0x1000u, 0x7ff9u}) {
    ByteVector bytes = good;
    store_le<std::uint16_t>(bytes, vtable + 8, static_cast<std::uint16_t>(at));
    EXPECT_EQ(refusal(model, bytes).field(), "b") << at;
  }
  ByteVector unterminated = good;
  unterminated[string + 4 + 3] = std::byte{'!'};
  EXPECT_THAT(refusal(model, unterminated).message(), HasSubstr("zero byte"));
}

TEST(Walker, RefusesAVectorWhoseElementsAreNotAligned) {
  const std::string_view fbs = "table R { a: [ulong] (id: 0); } root_type R;";
  const SchemaModel model = compile_model(fbs);
  const ByteVector good = compile_data(fbs, "{a: [1, 2]}");
  const auto* root = flatbuffers::GetRoot<flatbuffers::Table>(good.data());
  const Error error = refusal(model, with_misaligned_vector(good, root, 4, 8));
  EXPECT_EQ(error.field(), "a");
  EXPECT_THAT(error.message(), HasSubstr("are not aligned to 8"));
}

/// A chain of tables, `depth` of them.
ByteVector chain(unsigned depth) {
  return finish([&](fb::FlatBufferBuilder& fbb) {
    fb::uoffset_t next = 0;
    for (unsigned i = 0; i < depth; ++i) {
      const auto start = fbb.StartTable();
      if (next != 0) fbb.AddOffset(4, fb::Offset<void>(next));
      next = fbb.EndTable(start);
    }
    return next;
  });
}

TEST(Walker, StopsAtTheDepthLimit) {
  const SchemaModel model = compile_model("table R { next: R (id: 0); } root_type R;");
  EXPECT_EQ(refusal(model, chain(32)).kind(), ErrorKind::kInternal);
  const Error error = refusal(model, chain(33));
  EXPECT_EQ(error.kind(), ErrorKind::kLimitExceeded);
  EXPECT_THAT(error.message(), HasSubstr("32 levels"));
  EXPECT_EQ(refusal(model, chain(100000)).kind(), ErrorKind::kLimitExceeded);
}

TEST(Walker, StopsAtTheNodeLimitWhenPartsAreSharedAgainAndAgain) {
  const SchemaModel model = compile_model("table R { next: [R] (id: 0); } root_type R;");
  // Eight levels, each a list of 100 references to the one below: 10^14 paths in 4 KB.
  const ByteVector data = finish([&](fb::FlatBufferBuilder& fbb) {
    fb::uoffset_t below = 0;
    for (int level = 0; level < 8; ++level) {
      fb::Offset<fb::Vector<fb::Offset<void>>> list;
      if (below != 0) list = fbb.CreateVector(std::vector<fb::Offset<void>>(100, fb::Offset<void>(below)));
      const auto start = fbb.StartTable();
      if (below != 0) fbb.AddOffset(4, list);
      below = fbb.EndTable(start);
    }
    return below;
  });
  ASSERT_LT(data.size(), 5000u);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(model, data).kind(), ErrorKind::kLimitExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(Walker, CountsLongSharedStringsByTheirLength) {
  const SchemaModel model = compile_model("table R { s: [string] (id: 0); } root_type R;");
  // 10000 references to one megabyte of text: 10 GB to look through.
  const ByteVector data = finish([&](fb::FlatBufferBuilder& fbb) {
    const auto text = fbb.CreateString(std::string(1 << 20, 'x'));
    const auto list = fbb.CreateVector(std::vector<fb::Offset<fb::String>>(10000, text));
    const auto start = fbb.StartTable();
    fbb.AddOffset(4, list);
    return fbb.EndTable(start);
  });
  EXPECT_EQ(refusal(model, data).kind(), ErrorKind::kLimitExceeded);
}

TEST(Walker, EndsEarlyWhenTheVisitorIsDone) {
  const std::string_view fbs = "table R { a: int (id: 0); b: int (id: 1); } root_type R;";
  Recorder recorder;
  recorder.stop_after = 3;
  const auto report = walk(compile_model(fbs), compile_data(fbs, "{a: 1, b: 2}"), recorder);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->stopped);
  EXPECT_THAT(recorder.lines, ElementsAre("{ R", "a:", "1"));
}

}  // namespace
}  // namespace vmsnap::reflect
