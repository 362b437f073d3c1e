// SPDX-License-Identifier: BSD-2-Clause
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>

#include "base/mapping.h"
#include "temp_dir.h"

namespace vmsnap {
namespace {

TEST(File, ReadingPastTheEndIsTruncatedAndSaysHowMuchIsMissing) {
  const TempDir dir;
  std::ofstream(dir.file("f")) << "12345";
  const auto file = File::open_for_reading(dir.file("f"));
  ASSERT_TRUE(file);
  ByteVector out(8);
  const auto read = file->read_at(1, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read.error().offset(), 5u);
  EXPECT_NE(read.error().to_string().find("4 more bytes"), std::string::npos) << read.error().to_string();
}

TEST(File, ReadsAdjacentBytesIntoManyPlaces) {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>('a' + i % 26);
  std::ofstream(dir.file("f")) << text;
  const auto file = File::open_for_reading(dir.file("f"));
  ASSERT_TRUE(file);
  // More places than one call of the kernel takes, some of them empty.
  std::vector<ByteVector> storage;
  std::vector<MutableByteView> places;
  std::size_t size = 0;
  for (std::size_t i = 0; size < 4000; ++i) {
    storage.emplace_back(i % 4);
    size += i % 4;
  }
  for (ByteVector& bytes : storage) places.emplace_back(bytes);
  ASSERT_GT(places.size(), 2000u);
  ASSERT_TRUE(file->read_at(100, places));
  std::string read;
  for (const ByteVector& bytes : storage) {
    for (const std::byte byte : bytes) read += static_cast<char>(byte);
  }
  EXPECT_EQ(read, text.substr(100, size));
  EXPECT_TRUE(file->read_at(9999, std::span<const MutableByteView>()));

  const auto refused = file->read_at(2000, places);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kTruncated);
  EXPECT_EQ(refused.error().offset(), 5000u);
}

TEST(File, AMissingFileIsAnIoErrorThatNamesTheFile) {
  const auto file = File::open_for_reading("/nonexistent/f");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(file.error().file(), "/nonexistent/f");
}

TEST(File, FindsDataBetweenHoles) {
  const TempDir dir;
  std::ofstream(dir.file("f")) << "";
  const auto file = File::open_for_writing(dir.file("f"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->truncate(4 << 20));
  const ByteVector page(4096, std::byte{1});
  ASSERT_TRUE(file->write_at(1 << 20, page));
  const auto data = file->next_data(0, 4 << 20);
  ASSERT_TRUE(data);
  ASSERT_TRUE(data->has_value());
  EXPECT_LE((*data)->begin, 1u << 20);
  EXPECT_GE((*data)->end, (1u << 20) + 4096);
}

/// A file of tmpfs, which shares no disk space.
File tmpfs_file(std::string_view text) {
  File file = File::adopt(UniqueFd(::memfd_create("unit-test", MFD_CLOEXEC)), "unit-test");
  EXPECT_TRUE(file.write_at(0, as_byte_view(text)));
  return file;
}

TEST(File, SaysThatDiskSpaceCannotBeSharedAndLeavesTheBytesWhereTheFileSystemCannot) {
  const File from = tmpfs_file(std::string(8192, 'a'));
  const File to = tmpfs_file(std::string(8192, 'b'));
  const auto shared = to.share_at(0, from, 4096, 4096);
  ASSERT_TRUE(shared) << shared.error().to_string();
  EXPECT_FALSE(*shared);
  ByteVector after(8192);
  ASSERT_TRUE(to.read_at(0, after));
  EXPECT_EQ(after, ByteVector(8192, std::byte{'b'}));
}

TEST(File, SharingNothingIsNotSharingAllUpToTheEnd) {
  const File from = tmpfs_file(std::string(4096, 'a'));
  const File to = tmpfs_file("");
  const auto shared = to.share_at(0, from, 0, 0);
  ASSERT_TRUE(shared) << shared.error().to_string();
  EXPECT_TRUE(*shared);
  EXPECT_EQ(to.size().value(), 0u);
}

TEST(File, FailingToShareForAnotherReasonIsAnIoErrorThatNamesThePlace) {
  const File from;
  const File to = tmpfs_file("b");
  const auto refused = to.share_at(4096, from, 0, 4096);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(refused.error().file(), "unit-test");
  EXPECT_EQ(refused.error().offset(), 4096u);
}

TEST(Mapping, WritesToAPrivateCopyDoNotReachTheFile) {
  const TempDir dir;
  std::ofstream(dir.file("f")) << std::string(4096, 'a');
  const auto file = File::open_for_reading(dir.file("f"));
  ASSERT_TRUE(file);
  const auto mapping = Mapping::private_copy(*file, 0, 4096);
  ASSERT_TRUE(mapping);
  mapping->data()[0] = std::byte{'b'};
  ByteVector first(1);
  ASSERT_TRUE(file->read_at(0, first));
  EXPECT_EQ(first[0], std::byte{'a'});
}

}  // namespace
}  // namespace vmsnap
