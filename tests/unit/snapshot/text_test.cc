// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace vmsnap {
namespace {

TEST(IsText, AcceptsUtf8UpToTheLimit) {
  EXPECT_TRUE(is_text("", 0));
  for (const std::string_view text :
       {"abcdefgh ijk\n", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_text(text, text.size())) << text;
    EXPECT_TRUE(is_text("eight---" + std::string(text), 100)) << text;
    EXPECT_FALSE(is_text(text, text.size() - 1)) << text;
  }
}

TEST(IsText, RefusesWhatIsNotUtf8) {
  EXPECT_FALSE(is_text(std::string("a\0b", 3), 100));
  EXPECT_FALSE(is_text(std::string("twelve bytes\0", 13), 100));
  for (const std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE2\x82",
        "\xE2\x82\x41", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF"}) {
    EXPECT_FALSE(is_text(text, 100));
    EXPECT_FALSE(is_text("eight---" + std::string(text) + "more", 100));
  }
}

TEST(CutText, LeavesTextThatFitsAsItIs) {
  EXPECT_EQ(cut_text("", 0), "");
  EXPECT_EQ(cut_text("abc", 3), "abc");
  EXPECT_EQ(cut_text("ab\xC3\xA9", 4), "ab\xC3\xA9");
}

TEST(CutText, KeepsAsManyBytesAsTheLimitSays) {
  EXPECT_EQ(cut_text("abcd", 3), "abc");
  EXPECT_EQ(cut_text("abcd", 0), "");
  EXPECT_EQ(cut_text("a\xC3\xA9z", 3), "a\xC3\xA9");
}

TEST(CutText, DropsACharacterThatDoesNotFitAsAWhole) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";  // characters of 1, 2, 3 and 4 bytes
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
  for (std::size_t limit = 0; limit <= text.size(); ++limit) {
    EXPECT_EQ(cut_text(text, limit), text.substr(0, expected[limit])) << limit;
    EXPECT_TRUE(is_text(cut_text(text, limit), limit)) << limit;
  }
}

TEST(CutText, CutsWhatIsNotUtf8WithoutLosingMoreThanACharacter) {
  const std::string text(100, '\x80');
  EXPECT_EQ(cut_text(text, 50).size(), 47u);
  EXPECT_EQ(cut_text(text, 2).size(), 0u);
}

}  // namespace
}  // namespace vmsnap
