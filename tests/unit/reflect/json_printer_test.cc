// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/json_printer.h"

#include <flatbuffers/flatbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "flatc.h"

namespace vmsnap::reflect {
namespace {

using ::testing::HasSubstr;

std::string json_of(const SchemaModel& model, ByteView data, JsonOptions options = {}) {
  std::string text;
  StringSink sink(text);
  const auto report = print_json(model, data, sink, options);
  if (!report) return "error: " + report.error().to_string();
  EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  return text;
}

std::string json_of(std::string_view fbs, std::string_view data, JsonOptions options = {}) {
  return json_of(compile_model(fbs), compile_data(fbs, data), options);
}

std::string line_of(std::string_view fbs, std::string_view data) {
  JsonOptions options;
  options.indent = 0;
  return json_of(fbs, data, options);
}

TEST(JsonPrinter, PrintsIntegersOf64BitsAsStringsSoThatNoToolRoundsThem) {
  EXPECT_EQ(
      line_of("table R { a: ulong (id: 0); b: long (id: 1); c: uint (id: 2); d: int (id: 3); } root_type R;",
              "{a: 18446744073709551615, b: -9223372036854775808, c: 4294967295, d: -1}"),
      R"({"a":"18446744073709551615","b":"-9223372036854775808","c":4294967295,"d":-1})");
}

TEST(JsonPrinter, PrintsHexAndAddressesAsHexStrings) {
  EXPECT_EQ(line_of("table R { a: ulong (id: 0, hex); b: ulong (id: 1, gpa); c: [ushort] (id: 2, hex); d: "
                    "byte (id: 3, hex); } "
                    "root_type R;",
                    "{a: 0, b: 4276092928, c: [1, 65535], d: -1}"),
            R"({"a":"0x0","b":"0xfee00000","c":["0x1","0xffff"],"d":"0xff"})");
}

TEST(JsonPrinter, PrintsImagesAndHexBytesAsOneStringOfHexDigits) {
  EXPECT_EQ(line_of("struct S { d: [ubyte:2] (hex); n: [ubyte:2]; } "
                    "table R { a: [ubyte] (id: 0, image); b: [ubyte] (id: 1, hex); c: [ubyte] (id: 2); s: S "
                    "(id: 3); } root_type R;",
                    "{a: [0, 255], b: [], c: [1, 2], s: {d: [16, 1], n: [16, 1]}}"),
            R"({"a":"00ff","b":"","c":[1,2],"s":{"d":"1001","n":[16,1]}})");
}

TEST(JsonPrinter, PrintsEnumsByNameAndUnknownValuesAsNumbers) {
  const std::string_view plain = "table R { e: ubyte (id: 0); f: [short] (id: 1); } root_type R;";
  const std::string_view fbs =
      "enum E : ubyte { A, B } enum F : short { N = -2, Z = 0 } table R { e: E (id: 0); f: [F] (id: 1); } "
      "root_type R;";
  JsonOptions options;
  options.indent = 0;
  EXPECT_EQ(json_of(compile_model(fbs), compile_data(plain, "{e: 1, f: [-2, 0, 5]}"), options),
            R"({"e":"B","f":["N","Z",5]})");
  EXPECT_EQ(json_of(compile_model(fbs), compile_data(plain, "{e: 9}"), options), R"({"e":9,"f":null})");
}

TEST(JsonPrinter, PrintsABoolThatIsNoBoolAsItsNumber) {
  JsonOptions options;
  options.indent = 0;
  EXPECT_EQ(
      json_of(compile_model("table R { b: bool (id: 0); c: bool = true (id: 1); } root_type R;"),
              compile_data("table R { b: ubyte (id: 0); c: ubyte = 1 (id: 1); } root_type R;", "{b: 2}"),
              options),
      R"({"b":2,"c":true})");
}

TEST(JsonPrinter, PrintsFloatsAndKeepsThoseThatJsonHasNoWordFor) {
  const std::string_view bits =
      "table R { a: uint (id: 0); b: ulong (id: 1); c: uint (id: 2); } root_type R;";
  const std::string_view fbs =
      "table R { a: float = 1 (id: 0); b: double = 1 (id: 1); c: float = 0.1 (id: 2); } root_type R;";
  JsonOptions options;
  options.indent = 0;
  EXPECT_EQ(
      json_of(compile_model(fbs), compile_data(bits, "{a: 2143289344, b: 18442240474082181120}"), options),
      R"({"a":"NaN","b":"-Infinity","c":0.1})");
  EXPECT_EQ(json_of(compile_model(fbs), compile_data(fbs, "{a: 1e30, b: 1.5}"), options),
            R"({"a":1e+30,"b":1.5,"c":0.1})");
}

TEST(JsonPrinter, PrintsAUnionAsItsMemberBesideTheMembersName) {
  const std::string_view fbs =
      "table A { x: int (id: 0); } table B { y: int (id: 0); } union U { A, B } table R { u: U (id: 1); } "
      "root_type R;";
  EXPECT_EQ(line_of(fbs, "{u_type: B, u: {y: 3}}"), R"({"u_type":"B","u":{"y":3}})");
  EXPECT_EQ(line_of(fbs, "{}"), R"({"u_type":"NONE","u":null})");
}

TEST(JsonPrinter, SaysHowManyFieldsOfANewerVersionItDoesNotShow) {
  const std::string_view newer =
      "table R { a: int (id: 0); b: int (id: 1); c: string (id: 2); } root_type R;";
  JsonOptions options;
  options.indent = 0;
  EXPECT_EQ(json_of(compile_model("table R { a: int (id: 0); } root_type R;"),
                    compile_data(newer, R"({a: 1, b: 2, c: "x"})"), options),
            R"({"a":1,"$unknown_fields":2})");
}

TEST(JsonPrinter, LeavesOutDeprecatedFieldsUnlessTheyAreStored) {
  const std::string_view fbs =
      "table R { a: int (id: 0, deprecated); s: string (id: 1, deprecated); b: int (id: 2); } root_type R;";
  const std::string_view writer =
      "table R { a: int (id: 0); s: string (id: 1); b: int (id: 2); } root_type R;";
  JsonOptions options;
  options.indent = 0;
  EXPECT_EQ(json_of(compile_model(fbs), compile_data(writer, "{b: 1}"), options), R"({"b":1})");
  EXPECT_EQ(json_of(compile_model(fbs), compile_data(writer, R"({a: 4, s: "x", b: 1})"), options),
            R"({"a":4,"s":"x","b":1})");
}

TEST(JsonPrinter, IndentsObjectsAndListsButKeepsNumbersOnOneLine) {
  const std::string_view fbs =
      "table T { x: int (id: 0); } table R { t: [T] (id: 0); n: [int] (id: 1); e: [T] (id: 2); } root_type "
      "R;";
  EXPECT_EQ(json_of(fbs, "{t: [{x: 1}, {}], n: [1, 2], e: []}"),
            "{\n  \"t\": [\n    {\n      \"x\": 1\n    },\n    {\n      \"x\": 0\n    }\n  ],\n"
            "  \"n\": [1, 2],\n  \"e\": []\n}");
}

TEST(JsonPrinter, PrintsThePartThatThePathNames) {
  const std::string_view fbs = "table T { x: ulong (id: 0, hex); } table R { t: [T] (id: 0); } root_type R;";
  JsonOptions options;
  options.path = "t[1].x";
  EXPECT_EQ(json_of(fbs, "{t: [{x: 1}, {x: 2}]}", options), "\"0x2\"");
  options.path = "t[1].y";
  EXPECT_THAT(json_of(fbs, "{t: [{x: 1}, {x: 2}]}", options), HasSubstr("its fields are x"));
}

TEST(JsonPrinter, EscapesEverythingThatJsonForbidsOrATerminalObeys) {
  std::string out;
  append_json_string(out, std::string("a\"b\\c\n\t\r\0\x1b[31m\x7f", 15));
  EXPECT_EQ(out, R"("a\"b\\c\n\t\u000d\u0000\u001b[31m\u007f")");
  out.clear();
  append_json_string(out, "\xc2\x9b\xe2\x80\xae\xf0\x9f\x98\x80\xc3\xa9\xf3\xa0\x80\x81");
  EXPECT_EQ(out, "\"\\u009b\\u202e\xf0\x9f\x98\x80\xc3\xa9\\udb40\\udc01\"");
  out.clear();
  append_json_string(out, "\xff\xc0\x80x\xed\xa0\x80\xe2\x80");
  EXPECT_EQ(out, "\"\\ufffd\\ufffd\\ufffdx\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
  EXPECT_TRUE(nlohmann::json::accept(out));
}

/// A table that holds `count` references to one table with a string of `length` bytes.
ByteVector shared(unsigned count, unsigned length) {
  flatbuffers::FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string(length, 'x'));
  auto start = fbb.StartTable();
  fbb.AddOffset(4, text);
  const flatbuffers::Offset<void> inner(fbb.EndTable(start));
  const auto list = fbb.CreateVector(std::vector<flatbuffers::Offset<void>>(count, inner));
  start = fbb.StartTable();
  fbb.AddOffset(6, list);
  fbb.Finish(flatbuffers::Offset<void>(fbb.EndTable(start)));
  const auto* begin = reinterpret_cast<const std::byte*>(fbb.GetBufferPointer());
  return {begin, begin + fbb.GetSize()};
}

TEST(JsonPrinter, StopsAtTheOutputBudgetWhenSmallDataUnfoldsToMuchText) {
  const SchemaModel model = compile_model("table R { s: string (id: 0); list: [R] (id: 1); } root_type R;");
  const ByteVector data = shared(2000, 10000);
  ASSERT_LT(data.size(), 20000u);
  std::string text;
  StringSink sink(text);
  JsonOptions options;
  options.max_output = 1000000;
  const auto report = print_json(model, data, sink, options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_THAT(report.error().message(), HasSubstr("1000000 bytes"));
  EXPECT_LE(text.size(), 1000000u);
}

TEST(JsonPrinter, WritesNothingWhenTheDataIsDamagedFurtherBack) {
  const std::string_view fbs = "table R { a: int (id: 0); s: string (id: 1, required); } root_type R;";
  const std::string_view lax = "table R { a: int (id: 0); s: string (id: 1); } root_type R;";
  std::string text;
  StringSink sink(text);
  const auto report = print_json(compile_model(fbs), compile_data(lax, "{a: 1}"), sink);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(text, "");
}

class FailingSink : public Sink {
 public:
  [[nodiscard]] Result<void> write(std::string_view) override {
    ++calls;
    return Error(ErrorKind::kIo, "the disk is full");
  }
  int calls = 0;
};

TEST(JsonPrinter, ReturnsTheErrorOfItsSinkAndWritesNoMoreAfterIt) {
  const SchemaModel model = compile_model("table R { s: string (id: 0); list: [R] (id: 1); } root_type R;");
  FailingSink sink;
  const auto report = print_json(model, shared(100, 10000), sink);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message(), "the disk is full");
  EXPECT_EQ(sink.calls, 1);
}

}  // namespace
}  // namespace vmsnap::reflect
