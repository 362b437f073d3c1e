// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/content.h"

#include <gtest/gtest.h>

#include "flatc.h"

namespace vmsnap::reflect {
namespace {

constexpr std::string_view kSchema = R"(
  table A { x: int (id: 0); } union U { A }
  table R { a: uint = 7 (id: 0); b: uint = null (id: 1); s: [string] (id: 2); v: [ushort] (id: 3); u: U (id: 5); }
  root_type R;)";

bool equal(std::string_view first, std::string_view second) {
  const auto result =
      equal_by_content(compile_model(kSchema), compile_data(kSchema, first), compile_data(kSchema, second));
  EXPECT_TRUE(result) << result.error().to_string();
  return result && *result;
}

TEST(Content, IsEqualWhereOnlyTheEncodingDiffers) {
  EXPECT_TRUE(equal("{a: 7}", "{}"));
  EXPECT_TRUE(equal(R"({s: ["x", "y"], v: [1, 2]})", R"({v: [1, 2], s: ["x", "y"]})"));
}

TEST(Content, DiffersWhereAnyValueDoes) {
  EXPECT_FALSE(equal("{a: 8}", "{}"));
  EXPECT_FALSE(equal("{b: 0}", "{}"));
  EXPECT_FALSE(equal("{v: []}", "{}"));
  EXPECT_FALSE(equal("{v: [1, 2]}", "{v: [2, 1]}"));
  EXPECT_FALSE(equal(R"({s: ["xy", ""]})", R"({s: ["x", "y"]})"));
  EXPECT_FALSE(equal("{u_type: A, u: {x: 1}}", "{u_type: A, u: {x: 2}}"));
  EXPECT_FALSE(equal("{u_type: A, u: {}}", "{}"));
}

TEST(Content, IsNotComparedWhenPartOfItIsUnknown) {
  const std::string_view newer_field = R"(
    table A { x: int (id: 0); } union U { A }
    table R { a: uint = 7 (id: 0); b: uint = null (id: 1); s: [string] (id: 2); v: [ushort] (id: 3); u: U (id: 5);
              more: uint (id: 6); } root_type R;)";
  const std::string_view newer_member = R"(
    table A { x: int (id: 0); } table B { y: int (id: 0); } union U { A, B }
    table R { a: uint = 7 (id: 0); b: uint = null (id: 1); s: [string] (id: 2); v: [ushort] (id: 3); u: U (id: 5); }
    root_type R;)";
  for (const ByteVector& data :
       {compile_data(newer_field, "{more: 1}"), compile_data(newer_member, "{u_type: B, u: {}}")}) {
    const auto digest = content_digest(compile_model(kSchema), data);
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().kind(), ErrorKind::kUnsupported);
  }
}

}  // namespace
}  // namespace vmsnap::reflect
