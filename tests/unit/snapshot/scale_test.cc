// SPDX-License-Identifier: BSD-2-Clause
// A snapshot of a guest with much memory costs what is in the memory, not how large it is.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "../base/temp_dir.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kGuestSize = std::uint64_t{64} << 30;

/// Bytes that this process has got from read(2) and its like so far (proc(5), /proc/PID/io, rchar).
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string word;
  std::uint64_t value = 0;
  while (io >> word >> value) {
    if (word == "rchar:") return value;
  }
  ADD_FAILURE() << "/proc/self/io has no rchar";
  return 0;
}

std::uint64_t peak_memory_kib() {
  rusage usage{};
  EXPECT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}

TEST(Scale, SixtyFourGibibytesOfMostlyAbsentMemoryStaySmall) {
  const TempDir dir;
  const auto memory = Mapping::anonymous(kGuestSize);
  ASSERT_TRUE(memory);
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1} << 35, kGuestSize - 1})
    memory->data()[at] = std::byte{7};
  SnapshotContents contents;
  contents.manifest.producer_name = "scale-test";
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, kGuestSize}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), kGuestSize, false}};
  contents.segments = {{memory->bytes(), true}};

  const std::uint64_t memory_before_writing = peak_memory_kib();
  const auto summary = write_snapshot(dir.file("s"), contents, {});
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->ram_data_bytes, 3u * 4096);
  EXPECT_LT(peak_memory_kib() - memory_before_writing, 32u << 10);
  struct stat status {};
  ASSERT_EQ(::stat(dir.file("s").c_str(), &status), 0);
  EXPECT_GT(static_cast<std::uint64_t>(status.st_size), kGuestSize);
  EXPECT_LT(status.st_blocks * 512, 8 << 20);

  // The header level: neither the body nor the leaves (2 MiB) are read.
  const std::uint64_t read_before = bytes_read();
  auto reader = SnapshotReader::open(dir.file("s"), {ReadLevel::kHeader, false});
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_LT(bytes_read() - read_before, 256u << 10);

  const std::uint64_t memory_before_mapping = peak_memory_kib();
  const auto segment = reader->segment(0);
  ASSERT_TRUE(segment) << segment.error().to_string();
  const auto mapping = segment->map();
  ASSERT_TRUE(mapping) << mapping.error().to_string();
  EXPECT_EQ(mapping->data()[std::uint64_t{1} << 35], std::byte{7});
  EXPECT_EQ(mapping->data()[kGuestSize - 1], std::byte{7});
  EXPECT_LT(peak_memory_kib() - memory_before_mapping, 8u << 10);

  // Full verification reads the data and the leaves, not the holes.
  const std::uint64_t read_before_full = bytes_read();
  const auto full = SnapshotReader::open(dir.file("s"), {ReadLevel::kFull, false});
  ASSERT_TRUE(full) << full.error().to_string();
  EXPECT_LT(bytes_read() - read_before_full, 32u << 20);
}

}  // namespace
}  // namespace vmsnap
