// SPDX-License-Identifier: BSD-2-Clause
// Guest memory is the same after each way into a file and each way out of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "../base/temp_dir.h"
#include "ram/extent_ram_writer.h"
#include "ram/flat_ram_writer.h"
#include "ram/stored_source.h"
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

}  // namespace
}  // namespace vmsnap
