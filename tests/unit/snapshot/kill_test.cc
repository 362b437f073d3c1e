// SPDX-License-Identifier: BSD-2-Clause
// What a writer that is killed leaves behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "../base/temp_dir.h"
#include "small_snapshot.h"
#include "snapshot/check.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

constexpr int kKills = 200;

[[noreturn]] void save_for_ever(const std::string& path, const test::SmallSnapshot& small) {
  SnapshotWriteOptions options;
  for (bool extents = false;; extents = !extents) {
    options.encoding = extents ? RamEncoding::kExtents : RamEncoding::kFlat;
    if (!write_snapshot(path, small.contents(), device_chunk_types(), options)) ::_exit(1);
  }
}

TEST(KilledSave, LeavesAWholeSnapshotAndNothingThatTheNextSaveDoesNotRemove) {
  const TempDir dir;
  const std::string path = dir.file("snapshot");
  const test::SmallSnapshot small;
  ASSERT_TRUE(write_snapshot(path, small.contents(), device_chunk_types()));
  std::mt19937 random(7);
  int with_debris = 0;
  for (int i = 0; i < kKills; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_for_ever(path, small);
    ::usleep(static_cast<useconds_t>(random() % 10'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself";

    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      // A temporary name is given to complete files only, just before they get their own.
      const CheckReport report = check_snapshot(entry.path().string(), ReadLevel::kFull);
      ASSERT_FALSE(report.error) << report.error->to_string();
      if (entry.path() != path) ++with_debris;
    }
  }
  EXPECT_LT(with_debris, kKills / 2) << "the time between the two names is not short";
  ASSERT_TRUE(write_snapshot(path, small.contents(), device_chunk_types()));
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) EXPECT_EQ(entry.path(), path);
}

}  // namespace
}  // namespace vmsnap
