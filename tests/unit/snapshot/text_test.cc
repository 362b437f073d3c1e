// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/text.h"

#include <gtest/gtest.h>

#include <string>

namespace vmsnap {
namespace {

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
