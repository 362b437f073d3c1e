// SPDX-License-Identifier: BSD-2-Clause
#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace vmsnap {
namespace {

TEST(Error, PrintsItsBreadcrumbsFromTheOutsideInAndThenTheSentence) {
  const Error error = Error(ErrorKind::kCorrupt, "the value is out of range")
                          .in_field("lcr")
                          .in_device("isa0/uart@3f8")
                          .in_chunk("UART")
                          .at_offset(4096)
                          .in_file("guest.vmsnap");
  EXPECT_EQ(
      error.to_string(),
      "guest.vmsnap: offset 4096: chunk UART: device isa0/uart@3f8: field lcr: the value is out of range");
}

TEST(Error, KeepsTheInnermostBreadcrumb) {
  const Error error = Error(ErrorKind::kCorrupt, "x").at_offset(7).at_offset(9).in_chunk("A").in_chunk("B");
  EXPECT_EQ(error.offset(), 7u);
  EXPECT_EQ(error.chunk(), "A");
}

TEST(Error, IoErrorsCarryTheTextOfErrno) {
  const Error error = io_error("cannot open it", ENOENT);
  EXPECT_EQ(error.kind(), ErrorKind::kIo);
  EXPECT_EQ(error.message(), "cannot open it: No such file or directory");
}

TEST(Error, EveryKindHasANameOfItsOwn) {
  EXPECT_EQ(to_string(ErrorKind::kCorrupt), "corrupt");
  EXPECT_EQ(to_string(ErrorKind::kUnsupported), "unsupported");
  EXPECT_EQ(to_string(ErrorKind::kTruncated), "truncated");
  EXPECT_EQ(to_string(ErrorKind::kLimitExceeded), "limit-exceeded");
}

}  // namespace
}  // namespace vmsnap
