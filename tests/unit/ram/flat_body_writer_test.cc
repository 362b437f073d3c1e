// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_body_writer.h"

#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <functional>
#include <set>

#include "base/hash.h"
#include "format/constants.h"
#include "ram/flat_ram.h"
#include "ram/flat_ram_writer.h"
#include "ram_file.h"
#include "small_snapshot.h"

namespace {

/// What FICLONERANGE does while it is set: 0, or -1 with errno.
std::function<int(int to, const file_clone_range&)>* clone_range = nullptr;

}  // namespace

/// Takes the place of the one in libc for this program.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  std::va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == FICLONERANGE && clone_range != nullptr) {
    return (*clone_range)(fd, *static_cast<const file_clone_range*>(argument));
  }
  return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}

namespace vmsnap {
namespace {

constexpr std::uint64_t kExtent = 256u << 10;
constexpr std::uint64_t kFront = 3 * kPageSize;  // of the original, before the segment

/// Memory that a file has, but for some extents.
class FakeSource final : public ExtentSource {
 public:
  FakeSource(const File& original, const ByteVector& memory, std::set<std::uint64_t> altered)
      : ExtentSource(memory.size(), choose_extent_shift(memory.size()).value()),
        original_(original),
        memory_(memory),
        altered_(std::move(altered)) {}

  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override {
    extent.begin = extent_begin(index);
    extent.end = extent_end(index);
    const auto begin = memory_.begin() + static_cast<std::ptrdiff_t>(extent.begin);
    extent.storage.assign(begin, begin + static_cast<std::ptrdiff_t>(extent.end - extent.begin));
    extent.bytes = extent.storage;
    extent.leaf = xxh3_64(extent.bytes);
    extent.altered = altered_.count(index) != 0;
    find_data(extent);
    return {};
  }
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override {
    Extent extent;
    VMSNAP_RETURN_IF_ERROR(scan(index, extent));
    return std::equal(bytes.begin(), bytes.end(), extent.bytes.begin(), extent.bytes.end());
  }
  [[nodiscard]] std::optional<FilePlace> original() const override { return FilePlace{&original_, kFront}; }

 private:
  const File& original_;
  const ByteVector& memory_;
  std::set<std::uint64_t> altered_;
};

/// Memory with all kinds of extents, and a file that differs from it in extents 1 (zero in memory), 3 (zero
/// in the file) and the last.
class FlatBodyWriter : public ::testing::Test {
 protected:
  FlatBodyWriter() {
    memory_.assign(9 * kExtent + 2 * kPageSize, std::byte{0});
    fill(memory_, 0, kPageSize, 1);
    fill(memory_, 2 * kExtent + kPageSize, 3 * kPageSize, 2);
    fill(memory_, 3 * kExtent, kExtent, 3);
    fill(memory_, 6 * kExtent, 2 * kExtent, 4);
    fill(memory_, 9 * kExtent, kPageSize, 5);
    ByteVector original(kFront + memory_.size());
    std::copy(memory_.begin(), memory_.end(), original.begin() + kFront);
    fill(original, 0, kFront, 9);
    fill(original, kFront + kExtent, 7 * kPageSize, 6);
    fill(original, kFront + 3 * kExtent, kExtent, 0);
    fill(original, kFront + 9 * kExtent, 2 * kPageSize, 7);
    original_ = test::memory_file(original);
  }
  FlatBodyWriter(const FlatBodyWriter&) = delete;
  FlatBodyWriter& operator=(const FlatBodyWriter&) = delete;
  ~FlatBodyWriter() override { clone_range = nullptr; }

  static void fill(ByteVector& bytes, std::uint64_t at, std::uint64_t size, int value) {
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, static_cast<std::byte>(value));
  }

  [[nodiscard]] FakeSource source() const { return {original_, memory_, {1, 3, 9}}; }

  /// Makes FICLONERANGE of the kernel this.
  void replace_clone(std::function<int(int, const file_clone_range&)> fake) {
    fake_ = std::move(fake);
    clone_range = &fake_;
  }

  /// What a file system that can share does, for who reads the file.
  void copy_instead_of_cloning() {
    replace_clone([this](int to, const file_clone_range& range) {
      ByteVector bytes(range.src_length);
      EXPECT_EQ(range.src_fd, original_.fd());
      EXPECT_EQ(::pread(original_.fd(), bytes.data(), bytes.size(), static_cast<off_t>(range.src_offset)),
                static_cast<ssize_t>(bytes.size()));
      EXPECT_EQ(::pwrite(to, bytes.data(), bytes.size(), static_cast<off_t>(range.dest_offset)),
                static_cast<ssize_t>(bytes.size()));
      return 0;
    });
  }

  /// Writes the memory behind a page of the file, and gives what is there then.
  [[nodiscard]] ByteVector write(unsigned threads) {
    to_ = test::memory_file({});
    EXPECT_TRUE(to_.truncate(kPageSize + memory_.size()));
    FakeSource from = source();
    const auto written = write_flat_body({&to_, kPageSize}, from, {threads});
    EXPECT_TRUE(written) << written.error().to_string();
    ByteVector bytes = test::read_whole(to_);
    EXPECT_TRUE(is_all_zero(ByteView(bytes).first(kPageSize)));
    bytes.erase(bytes.begin(), bytes.begin() + kPageSize);
    return bytes;
  }

  [[nodiscard]] std::uint64_t allocated_bytes() const {
    struct stat status {};
    EXPECT_EQ(::fstat(to_.fd(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

  ByteVector memory_;
  File original_;
  File to_;
  std::function<int(int, const file_clone_range&)> fake_;
};

TEST_F(FlatBodyWriter, WritesEverythingWhereDiskSpaceCannotBeShared) {
  for (const unsigned threads : {1u, 2u}) {
    EXPECT_EQ(write(threads), memory_) << threads;
    EXPECT_EQ(allocated_bytes(), 5 * kPageSize + 3 * kExtent) << threads;
  }
}

TEST_F(FlatBodyWriter, TriesOnceToShareTheWholeSegmentAndWritesWhenThatIsRefused) {
  for (const int reason : {EOPNOTSUPP, EXDEV, EINVAL, ENOTTY, EPERM, ETXTBSY, ENOSYS}) {
    int calls = 0;
    replace_clone([&](int to, const file_clone_range& range) {
      ++calls;
      EXPECT_EQ(to, to_.fd());
      EXPECT_EQ(range.src_offset, kFront);
      EXPECT_EQ(range.src_length, memory_.size());
      EXPECT_EQ(range.dest_offset, kPageSize);
      errno = reason;
      return -1;
    });
    EXPECT_EQ(write(2), memory_) << reason;
    EXPECT_EQ(calls, 1) << reason;
  }
}

TEST_F(FlatBodyWriter, WritesOnlyAlteredExtentsWhereDiskSpaceIsShared) {
  replace_clone([](int, const file_clone_range&) { return 0; });
  for (const unsigned threads : {1u, 2u}) {
    ByteVector expected(memory_.size());
    fill(expected, 3 * kExtent, kExtent, 3);
    fill(expected, 9 * kExtent, kPageSize, 5);
    EXPECT_EQ(write(threads), expected) << threads;
  }
}

TEST_F(FlatBodyWriter, NothingOfTheOriginalIsLeftInAlteredExtentsAlsoWhereTheyAreZero) {
  copy_instead_of_cloning();
  for (const unsigned threads : {1u, 2u}) EXPECT_EQ(write(threads), memory_) << threads;
}

TEST_F(FlatBodyWriter, SharingThatFailsHalfwayIsAnErrorBecauseItMayHaveLeftBytes) {
  replace_clone([](int, const file_clone_range&) {
    errno = ENOSPC;
    return -1;
  });
  to_ = test::memory_file({});
  ASSERT_TRUE(to_.truncate(memory_.size()));
  FakeSource from = source();
  const auto refused = write_flat_body({&to_, 0}, from, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kIo);
}

TEST_F(FlatBodyWriter, HandsOutEveryExtentInOrderSharedOrNot) {
  for (const bool shared : {false, true}) {
    if (shared) copy_instead_of_cloning();
    to_ = test::memory_file({});
    ASSERT_TRUE(to_.truncate(memory_.size()));
    FakeSource from = source();
    std::vector<std::uint64_t> leaves;
    ASSERT_TRUE(write_flat_body({&to_, 0}, from, {2}, [&](const Extent& extent) {
      EXPECT_EQ(extent.begin, leaves.size() * kExtent);
      leaves.push_back(extent.leaf);
    }));
    ASSERT_EQ(leaves.size(), 10u);
    for (std::uint64_t i = 0; i < leaves.size(); ++i) {
      const std::uint64_t size = std::min<std::uint64_t>(kExtent, memory_.size() - i * kExtent);
      EXPECT_EQ(leaves[i], xxh3_64(ByteView(memory_).subspan(i * kExtent, size))) << i;
    }
  }
}

TEST_F(FlatBodyWriter, AChunkWithASharedBodyVerifiesAndCountsThePagesThatAreNotZero) {
  copy_instead_of_cloning();
  test::RamFile file;
  FakeSource from = source();
  const auto written = write_flat_ram(file.writer(), 1, 0, from, {2});
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(written->data_bytes, 5 * kPageSize + 3 * kExtent);
  file.finish();
  const auto segment = file.segment(memory_.size());
  ASSERT_TRUE(segment) << segment.error().to_string();
  ASSERT_TRUE(segment->place());
  SegmentCursor cursor;
  for (std::uint64_t i = 0; i < segment->leaves().size(); ++i)
    EXPECT_TRUE(segment->verify_extent(i, cursor)) << i;
  ByteVector back(memory_.size());
  ASSERT_TRUE(segment->place()->file->read_at(segment->place()->offset, back));
  EXPECT_EQ(back, memory_);
}

TEST_F(FlatBodyWriter, SegmentsThatAreNotFlatHaveNoPlaceToShare) {
  test::RamFile file;
  FakeSource from = source();
  ASSERT_TRUE(write_extent_ram(file.writer(), 1, 0, from, Codec::kNone, {}));
  file.finish();
  const auto segment = file.segment(memory_.size());
  ASSERT_TRUE(segment) << segment.error().to_string();
  EXPECT_FALSE(segment->place());
}

}  // namespace
}  // namespace vmsnap
