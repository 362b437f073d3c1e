// SPDX-License-Identifier: BSD-2-Clause
#include "base/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "temp_dir.h"

namespace vmsnap {
namespace {

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(AtomicFile, IsNotThereUntilItIsPublishedAndThenHasMode0600) {
  const TempDir dir;
  auto file = AtomicFile::create(dir.file("snapshot"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->file().write_at(0, as_byte_view("new")));
  EXPECT_FALSE(std::filesystem::exists(dir.file("snapshot")));
  ASSERT_TRUE(file->publish());
  EXPECT_EQ(contents(dir.file("snapshot")), "new");
  struct stat status {};
  ASSERT_EQ(::stat(dir.file("snapshot").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(dir.file_count(), 1u);
}

TEST(AtomicFile, LeavesTheOldFileAndNoTemporaryWhenItIsDropped) {
  const TempDir dir;
  std::ofstream(dir.file("snapshot")) << "old";
  {
    auto file = AtomicFile::create(dir.file("snapshot"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->file().write_at(0, as_byte_view("half of the new")));
    EXPECT_EQ(dir.file_count(), 1u) << "what is being written has a name already";
  }
  EXPECT_EQ(contents(dir.file("snapshot")), "old");
  EXPECT_EQ(dir.file_count(), 1u);
}

TEST(AtomicFile, ReplacesAnOldFileAtOnce) {
  const TempDir dir;
  std::ofstream(dir.file("snapshot")) << "old";
  auto file = AtomicFile::create(dir.file("snapshot"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->file().write_at(0, as_byte_view("new")));
  EXPECT_EQ(contents(dir.file("snapshot")), "old");
  ASSERT_TRUE(file->publish());
  EXPECT_EQ(contents(dir.file("snapshot")), "new");
}

TEST(AtomicFile, RemovesWhatAWriterThatIsGoneLeftBehindAndNothingElse) {
  const TempDir dir;
  std::ofstream(dir.file(".snapshot.0123abcd.tmp")) << "debris";
  std::ofstream(dir.file(".snapshot.0123abcde.tmp")) << "not ours";
  std::ofstream(dir.file(".other.0123abcd.tmp")) << "of another";
  std::ofstream(dir.file(".snapshot.in-use00.tmp")) << "of someone who is alive";
  const UniqueFd alive(::open(dir.file(".snapshot.in-use00.tmp").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(alive.get(), LOCK_EX), 0);
  ASSERT_TRUE(AtomicFile::create(dir.file("snapshot")));
  EXPECT_FALSE(std::filesystem::exists(dir.file(".snapshot.0123abcd.tmp")));
  EXPECT_EQ(dir.file_count(), 3u);
}

TEST(AtomicFile, RefusesATargetThatIsNotARegularFile) {
  const TempDir dir;
  const auto file = AtomicFile::create(dir.path().string());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kUsage);
}

TEST(AtomicFile, SaysWhichDirectoryIsMissing) {
  const auto file = AtomicFile::create("/nonexistent-directory/snapshot");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kIo);
  EXPECT_NE(file.error().message().find("/nonexistent-directory"), std::string::npos);
}

}  // namespace
}  // namespace vmsnap
