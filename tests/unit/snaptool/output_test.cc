// SPDX-License-Identifier: BSD-2-Clause
#include "output.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>

namespace vmsnap::snaptool {
namespace {

TEST(PrintableText, KeepsWordsQuotesBackslashesAndLettersOfAnyLanguage) {
  EXPECT_EQ(printable("a \"b\" c\\d Zürich 東京"), "a \"b\" c\\d Zürich 東京");
}

TEST(PrintableText, EscapesWhatActsOnATerminal) {
  EXPECT_EQ(printable("\x1b[31mred\x07\r\n"), "\\x1b[31mred\\x07\\r\\n");
  EXPECT_EQ(printable("a\xE2\x80\xAE"
                      "b"),
            "a\\u{202e}b");
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("\xC2\x9b"
                      "31m"),
            "\\u{9b}31m");
}

TEST(HumanSize, CutsToTheLargestUnitAndOneDigit) {
  EXPECT_EQ(human_size(0), "0 bytes");
  EXPECT_EQ(human_size(1), "1 byte");
  EXPECT_EQ(human_size(1023), "1023 bytes");
  EXPECT_EQ(human_size(1024), "1 KiB");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(human_size((std::uint64_t{1} << 20) - 1), "1023.9 KiB");
  EXPECT_EQ(human_size(std::uint64_t{64} << 30), "64 GiB");
  EXPECT_EQ(human_size(std::numeric_limits<std::uint64_t>::max()), "15.9 EiB");
}

TEST(UtcTime, PrintsEveryMomentThatFitsNanoseconds) {
  EXPECT_EQ(utc_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_time(1'500'000'000), "1970-01-01T00:00:01.5Z");
  EXPECT_EQ(utc_time(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(utc_time(std::numeric_limits<std::int64_t>::min()), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(utc_time(std::numeric_limits<std::int64_t>::max()), "2262-04-11T23:47:16.854775807Z");
}

TEST(JsonText, IsAsciiAndSurvivesTextThatIsNotUtf8) {
  EXPECT_EQ(to_text("\x1b\xC2\x9b\x7f"), R"("\u001b\u009b\u007f")");
  EXPECT_EQ(to_text("\xff"), R"("\ufffd")");
}

TEST(Output, ReportsTextThatWasLost) {
  std::ostringstream out;
  std::ostringstream err;
  Output output(out, err);
  EXPECT_TRUE(output.finish());
  out.setstate(std::ios::badbit);
  const auto finished = output.finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().kind(), ErrorKind::kIo);
}

}  // namespace
}  // namespace vmsnap::snaptool
