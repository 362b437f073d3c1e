// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/json_scanner.h"

#include <gtest/gtest.h>

#include <vector>

namespace vmsnap::compat::bhyve {
namespace {

/// All tokens as text, or the first error.
Result<std::string> scan(std::string_view text) {
  JsonScanner scanner(text);
  std::string out;
  for (;;) {
    VMSNAP_ASSIGN_OR_RETURN(const JsonToken token, scanner.next());
    if (token.kind == JsonKind::kEnd) return out;
    out += token.kind == JsonKind::kKey ? "k:" : token.kind == JsonKind::kString ? "s:" : "";
    out += token.raw;
    out += ' ';
  }
}

ErrorKind kind_of(std::string_view text) {
  const auto result = scan(text);
  return result ? ErrorKind::kInternal : result.error().kind();
}

TEST(JsonScanner, GoesThroughEveryKindOfValue) {
  const auto tokens = scan(" {\"a\" : [1, -2.5e+3 ,\"x\\\"y\", true,false,null,{},[]] ,\"b\":{\"c\":0}}\n");
  ASSERT_TRUE(tokens) << tokens.error().to_string();
  EXPECT_EQ(*tokens, "{ k:a [ 1 -2.5e+3 s:x\\\"y true false null { } [ ] ] k:b { k:c 0 } } ");
}

TEST(JsonScanner, SaysWhereEachTokenBegins) {
  JsonScanner scanner("{ \"a\": 12 }");
  std::vector<std::uint64_t> offsets;
  for (int i = 0; i < 5; ++i) {
    const auto token = scanner.next();
    ASSERT_TRUE(token);
    offsets.push_back(token->offset);
  }
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 2, 7, 10, 11}));
}

TEST(JsonScanner, RefusesWhatIsNotJson) {
  for (const std::string_view text : {"}",
                                      "]",
                                      ",",
                                      "{,}",
                                      "{\"a\"}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\":1 \"b\":2}",
                                      "{a:1}",
                                      "{1:1}",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1}",
                                      "{\"a\":1]",
                                      "[01]",
                                      "[-]",
                                      "[-a]",
                                      "[.5]",
                                      "[1.]",
                                      "[1.e1]",
                                      "[1e]",
                                      "[1e+]",
                                      "[+1]",
                                      "[0x1]",
                                      "[nul]",
                                      "[True]",
                                      "[NaN]",
                                      "['a']",
                                      "{} {}",
                                      "{}x",
                                      "[\"a\nb\"]",
                                      "\xef\xbb\xbf{}",
                                      "/**/{}"}) {
    EXPECT_EQ(kind_of(text), ErrorKind::kCorrupt) << text;
  }
  EXPECT_EQ(kind_of(std::string_view("[\"a\0b\"]", 7)), ErrorKind::kCorrupt);
}

TEST(JsonScanner, AnEndInTheMiddleIsTruncated) {
  const std::string_view text = "{\"a\": [1.5e1, -2, \"x\\ny\", true], \"b\": {\"c\": null}}";
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(kind_of(text.substr(0, length)), ErrorKind::kTruncated) << text.substr(0, length);
  }
}

TEST(JsonScanner, StringsMayHoldRawControlsAndBytesThatAreNoUtf8) {
  const auto tokens = scan("[\"\t\x01\x1b\x7f\xff\xc3\"]");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(*tokens, "[ s:\t\x01\x1b\x7f\xff\xc3 ] ");
}

TEST(JsonScanner, RefusesDepthAtTheFirstBracketTooMany) {
  EXPECT_TRUE(scan(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')));
  const auto deep = scan(std::string(kMaxJsonDepth, '[') + "{");
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(deep.error().offset(), kMaxJsonDepth);
}

TEST(JsonScanner, SkipsAValueWithAllItsParts) {
  JsonScanner scanner("{\"a\": {\"b\": [1, {\"c\": 2}]}, \"d\": \"}\", \"e\": 3}");
  ASSERT_TRUE(scanner.next());
  ASSERT_EQ(scanner.next()->raw, "a");
  ASSERT_TRUE(scanner.skip_value());
  ASSERT_EQ(scanner.next()->raw, "d");
  ASSERT_TRUE(scanner.skip_value());
  EXPECT_EQ(scanner.next()->raw, "e");
}

Result<std::string> decode(std::string_view raw, std::size_t limit = 100) {
  return decode_string({JsonKind::kString, 10, raw}, limit);
}

TEST(DecodeString, KnowsTheEscapesOfJson) {
  EXPECT_EQ(*decode(R"(\"\\\/\b\f\n\r\t|\u0041\u00e9\u20AC\ud83d\ude00)"),
            "\"\\/\b\f\n\r\t|A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(*decode("plain \xff\x01"), "plain \xff\x01");
  EXPECT_EQ(*decode(""), "");
}

TEST(DecodeString, RefusesOtherEscapesWhereTheyBegin) {
  for (const std::string_view raw : {R"(ab\x41)", R"(ab\u12)", R"(ab\u12g4)", R"(ab\ud83d)", R"(ab\ud83dx)",
                                     R"(ab\ud83d\u0041)", R"(ab\ude00)", R"(ab\u0000)", R"(ab\ud83d\u)"}) {
    const auto result = decode(raw);
    ASSERT_FALSE(result) << raw;
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(result.error().offset(), 13u) << raw;
  }
}

TEST(DecodeString, TheLimitIsOfDecodedBytes) {
  EXPECT_TRUE(decode(R"(\u0041\u0041\u0041)", 3));
  EXPECT_TRUE(decode("AAA", 3));
  for (const std::string_view raw :
       {R"(\u0041\u0041\u0041\u0041)", "AAAA", R"(AAA\n)", R"(\nAAA)", R"(AA\u00e9)"}) {
    const auto result = decode(raw, 3);
    ASSERT_FALSE(result) << raw;
    EXPECT_EQ(result.error().kind(), ErrorKind::kLimitExceeded) << raw;
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
