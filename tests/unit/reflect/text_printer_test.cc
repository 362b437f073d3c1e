// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/text_printer.h"

#include <flatbuffers/flatbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flatc.h"
#include "reflect/text_escape.h"

namespace vmsnap::reflect {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const SchemaModel& model, ByteView data, TextOptions options = {}) {
  std::string text;
  StringSink sink(text);
  const auto report = print_text(model, data, sink, options);
  return report ? text : "error: " + report.error().to_string();
}

std::string text_of(std::string_view fbs, std::string_view json, TextOptions options = {}) {
  return text_of(compile_model(fbs), compile_data(fbs, json), options);
}

TEST(TextPrinter, AlignsValuesAndShowsUnitsAndHex) {
  EXPECT_EQ(
      text_of(
          R"(table R { ier: ubyte (id: 0, hex); elapsed: ulong = null (id: 1, unit: "ns"); size: ulong (id: 2, unit: "bytes");
                       base: ulong (id: 3, gpa); on: bool (id: 4); name: string (id: 5); delta: int (id: 6); } root_type R;)",
          R"({ier: 5, elapsed: 123, size: 4294967296, base: 4276092928, on: true, name: "a\"b", delta: -3})"),
      "ier      0x05\n"
      "elapsed  123 ns\n"
      "size     4294967296 bytes (4 GiB)\n"
      "base     0x00000000fee00000\n"
      "on       true\n"
      "name     \"a\\\"b\"\n"
      "delta    -3\n");
}

TEST(TextPrinter, ShowsWhatIsAbsentAndDefaults) {
  EXPECT_EQ(text_of("table R { a: ulong = null (id: 0); b: string (id: 1); c: uint = 7 (id: 2); d: [uint] "
                    "(id: 3); e: [string] (id: 4); } "
                    "root_type R;",
                    "{d: [], e: []}"),
            "a  null\nb  absent\nc  7\nd  (empty)\ne  (empty)\n");
}

TEST(TextPrinter, PutsSmallObjectsOnOneLineAndNestsLargerOnes) {
  EXPECT_EQ(
      text_of(
          "struct Msr { index: uint (hex); value: ulong (hex); } table Inner { name: string (id: 0); n: int "
          "(id: 1); } "
          "table Segment { base: uint (id: 0, hex); limit: uint (id: 1); } "
          "table R { msrs: [Msr] (id: 0); inner: Inner (id: 1); list: [Inner] (id: 2); cs: Segment (id: 3); "
          "} root_type R;",
          R"({msrs: [{index: 16, value: 1}, {index: 27, value: 2}], inner: {name: "x", n: 1}, list: [{name: "y"}],
                        cs: {base: 1, limit: 2}})"),
      "msrs   2 entries\n"
      "  [0]  index 0x00000010  value 0x0000000000000001\n"
      "  [1]  index 0x0000001b  value 0x0000000000000002\n"
      "inner:\n"
      "  name  \"x\"\n"
      "  n     1\n"
      "list   1 entry\n"
      "  [0]\n"
      "    name  \"y\"\n"
      "    n     0\n"
      "cs     base 0x00000001  limit 2\n");
}

TEST(TextPrinter, DumpsImagesAndCollapsesRepeatedLines) {
  std::string json = "{page: [";
  for (int i = 0; i < 100; ++i)
    json += (i < 16 ? std::to_string(65 + i) : i < 96 ? "0" : "7") + std::string(i < 99 ? "," : "]}");
  EXPECT_EQ(text_of("table R { page: [ubyte] (id: 0, image); } root_type R;", json),
            "page  100 bytes\n"
            "  0000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|\n"
            "  0010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
            "  *\n"
            "  0060  07 07 07 07                                       |....|\n");
}

TEST(TextPrinter, ShowsShortHexBytesAsOneNumberAndLongOnesAsADump) {
  const std::string_view fbs = "table R { d: [ubyte] (id: 0, hex); } root_type R;";
  EXPECT_EQ(text_of(fbs, "{d: [1, 255, 16]}"), "d  01ff10\n");
  std::string json = "{d: [1";
  for (int i = 0; i < 40; ++i) json += ", 2";
  EXPECT_THAT(text_of(fbs, json + "]}"), HasSubstr("d  41 bytes\n  0000  01 02"));
}

TEST(TextPrinter, WrapsLongRunsOfNumbersAndNumbersTheLines) {
  std::string json = "{v: [1000";
  for (int i = 1; i < 50; ++i) json += ", " + std::to_string(1000 + i);
  TextOptions options;
  options.width = 60;
  const std::string text =
      text_of("table R { v: [uint] (id: 0, unit: \"kHz\"); } root_type R;", json + "]}", options);
  EXPECT_THAT(text, HasSubstr("v  50 values in kHz\n  [0] 1000 1001"));
  EXPECT_THAT(text, HasSubstr(" 1049\n"));
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos;
       begin = end + 1, end = text.find('\n', begin)) {
    EXPECT_LE(end - begin, 60u) << text.substr(begin, end - begin);
  }
  EXPECT_EQ(text_of("table R { v: [uint] (id: 0, unit: \"kHz\"); } root_type R;", "{v: [1, 2]}"),
            "v  1 2 kHz\n");
}

TEST(TextPrinter, NamesTheMemberOfAUnionInsteadOfItsDiscriminator) {
  const std::string_view fbs =
      "table A { x: int (id: 0); } table B { y: int (id: 0); } union U { A, B } table R { u: U (id: 1); w: "
      "int (id: 2); } root_type R;";
  EXPECT_EQ(text_of(fbs, "{u_type: B, u: {y: 3}}"), "u (B):\n  y  3\nw  0\n");
  EXPECT_EQ(text_of(fbs, "{}"), "u  absent\nw  0\n");
  const std::string_view newer =
      "table A { x: int (id: 0); } table B { y: int (id: 0); } table C { z: int (id: 0); } union U { A, B, C "
      "} "
      "table R { u: U (id: 1); w: int (id: 2); } root_type R;";
  EXPECT_EQ(text_of(compile_model(fbs), compile_data(newer, "{u_type: C, u: {z: 3}}")),
            "u  member 3 of U, which its schema does not know\nw  0\n");
}

TEST(TextPrinter, ShowsValuesThatTheirTypeDoesNotAllowAndWhy) {
  const std::string_view fbs =
      "enum E : ubyte { A, B } table R { flag: bool (id: 0); e: E (id: 1); } root_type R;";
  const std::string_view plain = "table R { flag: ubyte (id: 0); e: ubyte (id: 1); } root_type R;";
  EXPECT_EQ(text_of(compile_model(fbs), compile_data(plain, "{flag: 7, e: 9}")),
            "flag  7 (not a bool)\ne     9 (no name in E)\n");
}

TEST(TextPrinter, SaysHowManyFieldsOfANewerVersionItDoesNotShow) {
  const std::string_view fbs = "table R { a: int (id: 0); } root_type R;";
  const std::string_view newer = "table R { a: int (id: 0); b: int (id: 1); } root_type R;";
  EXPECT_EQ(text_of(compile_model(fbs), compile_data(newer, "{a: 1, b: 2}")),
            "a  1\n(1 field of a newer version is stored here and not shown)\n");
}

TEST(TextPrinter, ShowsDeprecatedFieldsOnlyWhenTheyAreStored) {
  const std::string_view fbs = "table R { old: int (id: 0, deprecated); b: int (id: 1); } root_type R;";
  const std::string_view writer = "table R { old: int (id: 0); b: int (id: 1); } root_type R;";
  EXPECT_EQ(text_of(compile_model(fbs), compile_data(writer, "{b: 1}")), "b    1\n");
  EXPECT_EQ(text_of(compile_model(fbs), compile_data(writer, "{old: 4, b: 1}")),
            "old  4  (deprecated)\nb    1\n");
}

TEST(TextPrinter, PutsDocumentationAboveEachFieldOnRequest) {
  TextOptions options;
  options.docs = true;
  EXPECT_EQ(text_of("table R {\n/// One \"line\".\n/// Two.\na: int (id: 0);\nb: int (id: 1); } root_type R;",
                    "{}", options),
            "# One \"line\".\n# Two.\na  0\nb  0\n");
}

TEST(TextPrinter, PrintsThePartThatThePathNamesIndented) {
  TextOptions options;
  options.indent = 4;
  const std::string_view fbs =
      "table T { x: ulong (id: 0, hex); y: string (id: 1); } table R { t: [T] (id: 0); } root_type R;";
  options.path = "t[0].x";
  EXPECT_EQ(text_of(fbs, "{t: [{x: 2}]}", options), "    0x0000000000000002\n");
  options.path = "t[0]";
  EXPECT_EQ(text_of(fbs, "{t: [{x: 2}]}", options), "    x  0x0000000000000002\n    y  absent\n");
}

TEST(TextPrinter, NeverPrintsWhatATerminalWouldObey) {
  const std::string_view fbs = R"(
    table R {
      /// evil)"
                               "\x1b[2J"
                               R"( documentation
      s: string (id: 0, unit: "x");
      n: int (id: 1, unit: "m\x1B]0;t"); } root_type R;)";
  const SchemaModel model = compile_model(fbs);
  flatbuffers::FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string("a\x1b[31m\r\n\0\xff\xc2\x9b\xe2\x80\xae", 15));
  const auto start = fbb.StartTable();
  fbb.AddOffset(4, text);
  fbb.Finish(flatbuffers::Offset<void>(fbb.EndTable(start)));
  TextOptions options;
  options.docs = true;
  const std::string printed = text_of(model, as_byte_view(fbb.GetBufferPointer(), fbb.GetSize()), options);
  EXPECT_THAT(printed, HasSubstr(R"("a\x1b[31m\r\n\x00\xff\u{9b}\u{202e}")"));
  EXPECT_THAT(printed, HasSubstr(R"(# evil\x1b[2J documentation)"));
  EXPECT_THAT(printed, HasSubstr(R"(0 m\x1b]0;t)"));
  for (const char c : printed) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
}

TEST(TextPrinter, CutsAtTheBudgetBetweenLinesAndSaysSo) {
  const SchemaModel model = compile_model("table R { list: [string] (id: 0); } root_type R;");
  flatbuffers::FlatBufferBuilder fbb;
  const auto shared = fbb.CreateString("0123456789");
  const auto list = fbb.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>(1000, shared));
  const auto start = fbb.StartTable();
  fbb.AddOffset(4, list);
  fbb.Finish(flatbuffers::Offset<void>(fbb.EndTable(start)));
  std::string text;
  StringSink sink(text);
  TextOptions options;
  options.max_output = 1000;
  const auto report = print_text(model, as_byte_view(fbb.GetBufferPointer(), fbb.GetSize()), sink, options);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->cut);
  EXPECT_THAT(
      text, EndsWith("\"0123456789\"\n... cut after 1000 bytes; ask for a part of the state by its path\n"));
  EXPECT_LT(text.size(), 1100u);
}

TEST(TextEscape, KnowsUtf8FromWhatOnlyLooksLikeIt) {
  for (const std::string_view good : {"", "plain ascii, long enough for a word", "\xc3\xa9", "\xe2\x82\xac",
                                      "\xf0\x9f\x98\x80", "12345678\xc3\xa9", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80", "12345678\xff", "1234567\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace vmsnap::reflect
