// SPDX-License-Identifier: BSD-2-Clause
// Guest memory is the same after each way into a file and each way out of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <iterator>
#include <optional>

#include "../base/temp_dir.h"
#include "random_memory.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

const SnapshotReadOptions kFullLevel{ReadLevel::kFull, false};

struct Encoding {
  std::string name;
  RamEncoding encoding;
  Codec codec;
};

const std::vector<Encoding>& encodings() {
  static const std::vector<Encoding> all = {
      {"flat", RamEncoding::kFlat, Codec::kNone},
      {"extents", RamEncoding::kExtents, Codec::kNone},
      {"extents, lz4", RamEncoding::kExtents, Codec::kLz4},
  };
  return all;
}

SnapshotWriteOptions write_options(const Encoding& encoding, unsigned threads = 1) {
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  options.encoding = encoding.encoding;
  options.codec = encoding.codec;
  options.pass.threads = threads;
  return options;
}

Result<SnapshotReader> open(const File& file) {
  return SnapshotReader::open(test::memory_file(test::read_whole(file)), kFullLevel);
}

/// Takes bytes as a pipe does: no offsets, never all that is offered at once, and never a whole IOV_MAX.
class TrickleSink final : public Sink {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] const ByteVector& bytes() const { return bytes_; }

 protected:
  [[nodiscard]] ssize_t write_some(std::span<const iovec> pieces) override {
    std::size_t taken = 0;
    for (const iovec& piece : pieces.first(std::min<std::size_t>(pieces.size(), 3))) {
      const std::size_t count = std::min<std::size_t>(piece.iov_len, 10'000);
      const auto* from = static_cast<const std::byte*>(piece.iov_base);
      bytes_.insert(bytes_.end(), from, from + count);
      taken += count;
      if (count < piece.iov_len) break;
    }
    return static_cast<ssize_t>(taken);
  }

 private:
  std::string name_ = "trickle";
  ByteVector bytes_;
};

std::vector<SegmentReader> all_segments(const SnapshotReader& reader) {
  std::vector<SegmentReader> segments;
  for (const MemorySegment& segment : reader.memory_map().segments) {
    auto stored = reader.segment(segment.id);
    EXPECT_TRUE(stored) << stored.error().to_string();
    if (stored) segments.push_back(std::move(*stored));
  }
  return segments;
}

/// Reads `segment` in every way there is and compares it with `memory`.
void expect_holds(const SegmentReader& segment, ByteView memory) {
  ASSERT_EQ(segment.size(), memory.size());
  const auto same = [&](ByteView bytes) {
    return bytes.size() == memory.size() && std::memcmp(bytes.data(), memory.data(), memory.size()) == 0;
  };
  for (const unsigned threads : {1u, 2u}) {
    ByteVector loaded(memory.size());
    const auto result = load_segment(segment, loaded, true, {threads});
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_TRUE(same(loaded));
    EXPECT_TRUE(verify_segment(segment, {}, {threads}));
  }
  SegmentCursor cursor;
  ByteVector by_page(memory.size(), std::byte{0xEE});
  for (std::uint64_t at = 0; at < memory.size(); at += kPageSize) {
    ASSERT_TRUE(segment.read(at, MutableByteView(by_page).subspan(at, kPageSize), false, cursor));
  }
  EXPECT_TRUE(same(by_page));
  ByteVector at_once(memory.size(), std::byte{0xEE});
  ASSERT_TRUE(segment.read(0, at_once, false, cursor));
  EXPECT_TRUE(same(at_once));
  if (!segment.is_mappable()) {
    EXPECT_EQ(segment.map().error().kind(), ErrorKind::kUsage);
    return;
  }
  const auto mapping = segment.map();
  ASSERT_TRUE(mapping) << mapping.error().to_string();
  EXPECT_TRUE(same(mapping->bytes()));
  EXPECT_TRUE(verify_segment(segment, mapping->bytes(), {2}));
}

TEST(Encoding, EachGivesBackTheSameMemoryAndTheSameDigest) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const test::RandomMemory memory(seed);
    std::optional<Digest128> digest;
    for (const Encoding& encoding : encodings()) {
      ByteVector first_bytes;
      for (const unsigned threads : {1u, 2u, 3u}) {
        SCOPED_TRACE(fmt::format("seed {}, {}, {} threads", seed, encoding.name, threads));
        const File file = test::memory_file({});
        const auto summary = write_snapshot(file, memory.contents(), {}, write_options(encoding, threads));
        ASSERT_TRUE(summary) << summary.error().to_string();
        const ByteVector bytes = test::read_whole(file);
        // What is written does not depend on how many wrote it.
        if (threads > 1) {
          EXPECT_TRUE(bytes == first_bytes);
          continue;
        }
        first_bytes = bytes;
        auto reader = open(file);
        ASSERT_TRUE(reader) << reader.error().to_string();
        const std::vector<SegmentReader> segments = all_segments(*reader);
        ASSERT_EQ(segments.size(), memory.segments().size());
        for (std::size_t i = 0; i < segments.size(); ++i) {
          EXPECT_EQ(segments[i].is_mappable(),
                    encoding.codec == Codec::kNone || !segments[i].is_compressed());
          expect_holds(segments[i], memory.segments()[i]);
        }
        if (!digest) digest = memory_digest(segments);
        EXPECT_EQ(memory_digest(segments), *digest);
      }
    }
  }
}

TEST(Encoding, TheExtentsGoToASinkWithoutAFileByteForByteAsToAFile) {
  for (std::uint64_t seed = 30; seed < 34; ++seed) {
    const test::RandomMemory memory(seed);
    for (const Encoding& encoding : encodings()) {
      if (encoding.encoding == RamEncoding::kFlat) continue;
      SCOPED_TRACE(fmt::format("seed {}, {}", seed, encoding.name));
      const File file = test::memory_file({});
      ASSERT_TRUE(write_snapshot(file, memory.contents(), {}, write_options(encoding)));
      TrickleSink sink;
      const auto summary = write_snapshot(sink, memory.contents(), {}, write_options(encoding, 2));
      ASSERT_TRUE(summary) << summary.error().to_string();
      EXPECT_EQ(summary->file_size, sink.bytes().size());
      EXPECT_TRUE(sink.bytes() == test::read_whole(file));
    }
  }
}

TEST(Encoding, FlatMemoryNeedsAFileAndIsNeverCompressed) {
  const test::RandomMemory memory(1);
  TrickleSink sink;
  const auto no_file = write_snapshot(sink, memory.contents(), {}, write_options(encodings()[0]));
  ASSERT_FALSE(no_file);
  EXPECT_EQ(no_file.error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(no_file.error().file(), "trickle");
  EXPECT_THAT(no_file.error().message(), HasSubstr("choose the encoding \"extents\""));
  EXPECT_TRUE(sink.bytes().empty());

  const auto compressed = write_snapshot(test::memory_file({}), memory.contents(), {},
                                         write_options({"", RamEncoding::kFlat, Codec::kLz4}));
  ASSERT_FALSE(compressed);
  EXPECT_EQ(compressed.error().kind(), ErrorKind::kUsage);
}

TEST(Encoding, TheHeaderAnnouncesWhatIsUsedAndTheSchemasFollow) {
  const test::SmallSnapshot small;
  const auto expect = [&](const ByteVector& bytes, const std::vector<std::string>& features,
                          const std::string& schema, const std::string& not_schema) {
    const auto reader = SnapshotReader::open(test::memory_file(bytes), kFullLevel);
    ASSERT_TRUE(reader) << reader.error().to_string();
    std::vector<std::string> names;
    for (const Feature& feature : reader->header().features) names.push_back(feature.name);
    EXPECT_EQ(names, features);
    EXPECT_EQ(reader->header().body_align_shift, 12);
    std::vector<std::string> schemas;
    for (const EmbeddedSchema& embedded : reader->schemas()) schemas.push_back(embedded.name);
    EXPECT_THAT(schemas, ::testing::Contains(schema));
    EXPECT_THAT(schemas, ::testing::Not(::testing::Contains(not_schema)));
  };
  expect(small.bytes(), {}, "flat_ram", "extent_ram");
  expect(small.bytes(RamEncoding::kExtents), {"ram-extents"}, "extent_ram", "flat_ram");
  expect(small.bytes(RamEncoding::kExtents, Codec::kLz4), {"ram-extents", "lz4"}, "extent_ram", "flat_ram");
}

TEST(Encoding, AMachineWithoutMemoryAnnouncesNothing) {
  SnapshotContents contents;
  contents.manifest.producer_name = "nobody";
  const File file = test::memory_file({});
  ASSERT_TRUE(write_snapshot(file, contents, {}, write_options(encodings()[2])));
  const auto reader = open(file);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_TRUE(reader->header().features.empty());
}

TEST(Encoding, TheSummaryTellsWhatTheMemoryTakes) {
  const test::SmallSnapshot small;
  for (const Encoding& encoding : encodings()) {
    SCOPED_TRACE(encoding.name);
    const auto summary = write_snapshot(test::memory_file({}), small.contents(), device_chunk_types(),
                                        write_options(encoding));
    ASSERT_TRUE(summary);
    EXPECT_EQ(summary->ram_data_bytes, 19u * 4096);
    // Noise does not become shorter.
    EXPECT_EQ(summary->ram_stored_bytes, 19u * 4096);
    if (encoding.encoding == RamEncoding::kFlat) continue;
    EXPECT_LT(summary->file_size, 200u << 10);
  }
}

TEST(Encoding, ACancelledSaveLeavesTheOldFileAndNothingElse) {
  const TempDir dir;
  test::write_whole(dir.file("s"), ByteVector(10));
  ByteVector memory(8u << 20);
  for (std::size_t at = 0; at < memory.size(); at += 4096) store_le(MutableByteView(memory), at, at + 1);
  SnapshotContents contents;
  contents.manifest.producer_name = "nobody";
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, memory.size()}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), memory.size(), false}};
  contents.segments = {{memory, false}};
  for (const Encoding& encoding : encodings()) {
    std::atomic<bool> cancelled = false;
    SnapshotWriteOptions options = write_options(encoding);
    options.pass.cancelled = &cancelled;
    options.pass.progress = [&](std::uint64_t) { cancelled = true; };
    const auto refused = write_snapshot(dir.file("s"), contents, {}, options);
    ASSERT_FALSE(refused) << encoding.name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidState);
    EXPECT_EQ(test::read_whole(dir.file("s")), ByteVector(10));
    EXPECT_EQ(dir.file_count(), 1u);
  }
}

TEST(Encoding, MemoryThatIsNotWholePagesIsRefusedBeforeAnythingIsWritten) {
  const ByteVector memory(2 * 4096);
  SnapshotContents contents;
  contents.manifest.producer_name = "nobody";
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, 4096}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), 4096, false}};
  contents.segments = {{ByteView(memory).subspan(1, 4096), true}};
  TrickleSink sink;
  const auto refused = write_snapshot(sink, contents, {}, write_options(encodings()[1]));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  EXPECT_TRUE(sink.bytes().empty());
}

}  // namespace
}  // namespace vmsnap
