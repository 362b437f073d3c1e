// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../ram/ram_file.h"
#include "base/checked.h"
#include "container/chunk_reader.h"
#include "small_snapshot.h"

namespace vmsnap {
namespace {

const FourCc kThing("THNG");

FileHeader header() {
  FileHeader result;
  result.uuid = test::test_uuid();
  return result;
}

TEST(ChunkWriter, RefusesWhatTheFormatCannotExpress) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = ChunkWriter::begin(sink, header());
  ASSERT_TRUE(writer);
  const ByteVector meta(8);
  const auto kind_of = [](const Result<void>& result) {
    return result ? ErrorKind::kInternal : result.error().kind();
  };
  EXPECT_EQ(kind_of(writer->append({FourCc("A\"BC"), 1}, meta)), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(writer->append({kThing, 0}, meta)), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(writer->append({kChunkSchema, 1}, meta)), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(writer->append({kThing, 1, 0, 1u << 9}, meta)), ErrorKind::kUsage);
  const ByteVector large(kMaxMetaSize + 1);
  EXPECT_EQ(kind_of(writer->append({kThing, 1}, large)), ErrorKind::kLimitExceeded);
  EXPECT_EQ(kind_of(writer->append({kThing, 1}, large, meta)), ErrorKind::kLimitExceeded);
  EXPECT_TRUE(writer->written().empty());
  EXPECT_TRUE(writer->append({kThing, 1}, meta));
}

TEST(ChunkWriter, AReservedChunkMustBeCommittedWithAMetaOfTheReservedSize) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = ChunkWriter::begin(sink, header());
  ASSERT_TRUE(writer);
  const auto reserved =
      writer->reserve({kChunkFlatRam, 1, 0, kChunkCritical | kChunkLeaves}, 100, 4096, 4096);
  ASSERT_TRUE(reserved);
  EXPECT_EQ(reserved->body_offset, 4096u);
  EXPECT_EQ(reserved->header.gap, 4096u - 128 - 64 - 100);
  EXPECT_FALSE(writer->finish(1, 1));
  EXPECT_FALSE(writer->commit(*reserved, ByteVector(99), 0));
  EXPECT_TRUE(writer->commit(*reserved, ByteVector(100), 0));
  EXPECT_FALSE(writer->commit(*reserved, ByteVector(100), 0));
  ASSERT_EQ(writer->written().size(), 1u);
  EXPECT_EQ(writer->written()[0].size, 4096u + 4096 - 128);
}

TEST(ChunkWriter, LetsOtherChunksFollowAReservedOneBeforeItIsCommitted) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = test::begin_ram_file(sink);
  ASSERT_TRUE(writer);
  const ByteVector body(8192, std::byte{7});
  std::vector<ChunkReservation> reserved;
  for (std::uint32_t id = 0; id < 2; ++id) {
    const auto made =
        writer->reserve({kChunkFlatRam, 1, id, kChunkCritical | kChunkLeaves}, 100, body.size(), 4096);
    ASSERT_TRUE(made) << made.error().to_string();
    reserved.push_back(*made);
    ASSERT_TRUE(writer->append({kThing, 1, id}, ByteVector(8)));
  }
  ASSERT_TRUE(writer->commit(reserved[1], ByteVector(100, std::byte{1}), 11));
  EXPECT_FALSE(writer->finish(1, 1));
  ASSERT_TRUE(file.write_at(reserved[0].body_offset, body));
  ASSERT_TRUE(writer->commit(reserved[0], ByteVector(100, std::byte{2}), 22));
  ASSERT_TRUE(writer->finish(1, 1));
  const auto reader = ChunkReader::open(test::memory_file(test::read_whole(file)));
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_TRUE(reader->check_metas());
  const auto chunks = reader->chunks().subspan(3);
  EXPECT_EQ(chunks[0].header.body_hash, 22u);
  EXPECT_EQ(chunks[1].header.type, kThing);
  EXPECT_EQ(chunks[2].header.body_hash, 11u);
  ByteVector read(body.size());
  ASSERT_TRUE(reader->file().read_at(chunks[0].body_offset(), read));
  EXPECT_EQ(read, body);
  ASSERT_TRUE(reader->file().read_at(chunks[2].body_offset(), read));
  EXPECT_TRUE(is_all_zero(read));
}

TEST(ChunkWriter, GivesTheFileItsSizeBeforeABodyWithHolesIsWritten) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = test::begin_ram_file(sink);
  ASSERT_TRUE(writer);
  const auto made =
      writer->reserve({kChunkFlatRam, 1, 0, kChunkCritical | kChunkLeaves}, 100, 3 * kPageSize, kPageSize);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(*file.size(), made->body_offset + 3 * kPageSize);
  ASSERT_TRUE(writer->commit(*made, ByteVector(100), 0));

  std::uint64_t before = 0;
  const auto body = [&](Sink& to) {
    before = *file.size();
    return to.skip(5 * kPageSize);
  };
  ASSERT_TRUE(writer->append({kChunkFlatRam, 1, 1, kChunkCritical | kChunkLeaves}, ByteVector(100),
                             StreamedBody{5 * kPageSize, 0, body, kPageSize, true}));
  EXPECT_EQ(before, sink.position());
  EXPECT_EQ(*file.size(), sink.position());
}

TEST(ChunkWriter, RefusesBodiesThatTheFileCouldNotHold) {
  const File file = test::memory_file({});
  FileSink sink(file);
  auto writer = ChunkWriter::begin(sink, header());
  ASSERT_TRUE(writer);
  EXPECT_FALSE(writer->reserve({kThing, 1}, 100, ~std::uint64_t{0} - 10, 64));
  EXPECT_FALSE(writer->reserve({kThing, 1}, 100, std::uint64_t{1} << 63, 64));
  EXPECT_FALSE(writer->reserve({kThing, 1}, 100, 0, 64));
  EXPECT_TRUE(writer->reserve({kThing, 1}, 100, 1, 64));
}

TEST(ChunkWriter, ReportsWhatTheSystemRefusesToWrite) {
  auto file = File::open_for_writing("/dev/full");
  ASSERT_TRUE(file);
  FileSink sink(*file);
  auto writer = ChunkWriter::begin(sink, header());
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(writer.error().file(), "/dev/full");
}

TEST(CheckZero, FindsTheFirstByteThatIsNotZeroAndSkipsHoles) {
  const File file = test::memory_file({});
  const std::uint64_t size = std::uint64_t{1} << 40;
  ASSERT_TRUE(file.truncate(size));
  EXPECT_TRUE(check_zero(file, 0, size));
  const std::byte one{1};
  const std::uint64_t at = (std::uint64_t{1} << 39) + 300'001;
  ASSERT_TRUE(file.write_at(at, {&one, 1}));
  const auto refused = check_zero(file, 5, size);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().offset(), at);
  EXPECT_TRUE(check_zero(file, 0, at));
  EXPECT_TRUE(check_zero(file, at + 1, size));
}

}  // namespace
}  // namespace vmsnap
