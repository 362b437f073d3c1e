// SPDX-License-Identifier: BSD-2-Clause
#include "base/sink.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "temp_dir.h"

namespace vmsnap {
namespace {

/// Keeps what it is given; has no file behind it, so everything must be read.
class MemorySink final : public Sink {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  ByteVector bytes;

 private:
  ssize_t write_some(std::span<const iovec> pieces) override {
    ssize_t taken = 0;
    for (const iovec& piece : pieces) {
      const auto* begin = static_cast<const std::byte*>(piece.iov_base);
      bytes.insert(bytes.end(), begin, begin + piece.iov_len);
      taken += static_cast<ssize_t>(piece.iov_len);
    }
    return taken;
  }
  std::string name_ = "memory";
};

class SinkCopy : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSize = 16u << 20;

  void SetUp() override {
    // Data at the front, in the middle at an odd place, and at the end; the rest is a hole.
    std::filesystem::resize_file((std::ofstream(from_), from_), kSize);
    auto file = File::open_for_writing(from_);
    ASSERT_TRUE(file);
    for (const auto& [at, size] : {std::pair{0u, 5000u}, {8'000'123u, 3'000'000u}, {kSize - 10, 10u}}) {
      ByteVector data(size);
      for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(1 + (at + i) % 250);
      ASSERT_TRUE(file->write_at(at, data));
    }
    source_ = *std::move(file);
  }

  ByteVector part(const File& file, std::uint64_t offset, std::uint64_t size) const {
    ByteVector bytes(size);
    EXPECT_TRUE(file.read_at(offset, bytes));
    return bytes;
  }

  TempDir dir_;
  std::string from_ = dir_.file("from");
  File source_;
};

TEST_F(SinkCopy, GivesTheSameBytesWithAndWithoutAFileBehindTheSink) {
  for (const auto& [offset, size] : {std::pair<std::uint64_t, std::uint64_t>{0, kSize},
                                     {4096, kSize - 4096},
                                     {8'000'000, 100'000},
                                     {4'000'000, 4096},
                                     {kSize - 5, 5},
                                     {77, 0}}) {
    std::ofstream(dir_.file("to"));
    auto to = File::open_for_writing(dir_.file("to"));
    ASSERT_TRUE(to);
    FileSink sink(*to);
    ASSERT_TRUE(sink.write(ByteVector(64)));
    ASSERT_TRUE(sink.copy(source_, offset, size));
    EXPECT_EQ(sink.position(), 64 + size);
    ASSERT_TRUE(to->truncate(sink.position()));
    MemorySink memory;
    ASSERT_TRUE(memory.copy(source_, offset, size));
    const ByteVector expected = part(source_, offset, size);
    EXPECT_EQ(part(*to, 64, size), expected) << offset << ' ' << size;
    EXPECT_EQ(memory.bytes, expected) << offset << ' ' << size;
  }
}

TEST_F(SinkCopy, KeepsHoles) {
  std::ofstream(dir_.file("to"));
  auto to = File::open_for_writing(dir_.file("to"));
  ASSERT_TRUE(to);
  FileSink sink(*to);
  ASSERT_TRUE(sink.copy(source_, 0, kSize));
  struct stat status {};
  ASSERT_EQ(::fstat(to->fd(), &status), 0);
  EXPECT_LT(static_cast<std::uint64_t>(status.st_blocks) * 512, kSize / 2);
}

TEST_F(SinkCopy, SaysWhenTheSourceEndsEarly) {
  std::ofstream(dir_.file("to"));
  auto to = File::open_for_writing(dir_.file("to"));
  ASSERT_TRUE(to);
  ASSERT_TRUE(source_.truncate(8'500'000));
  MemorySink memory;
  FileSink file(*to);
  for (Sink* sink : {static_cast<Sink*>(&memory), static_cast<Sink*>(&file)}) {
    const auto copied = sink->copy(source_, 8'000'200, 600'000);
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().kind(), ErrorKind::kTruncated) << copied.error().to_string();
  }
}

}  // namespace
}  // namespace vmsnap
