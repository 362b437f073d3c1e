// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "format/digest.h"
#include "ram/absent_pages.h"
#include "ram/flat_ram.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kMaxRun = 1u << 20;
constexpr std::uint64_t kFlushWindow = 32u << 20;

/// Gathers adjacent ranges of the segment into writes of up to kMaxRun.
class RunWriter {
 public:
  RunWriter(const File& file, std::uint64_t body_offset, ByteView segment)
      : file_(file), body_offset_(body_offset), segment_(segment) {}

  Result<void> add(std::uint64_t begin, std::uint64_t end) {
    if (begin != end_ || end - begin_ > kMaxRun) {
      VMSNAP_RETURN_IF_ERROR(flush());
      begin_ = begin;
    }
    end_ = end;
    return {};
  }

  Result<void> flush() {
    while (begin_ < end_) {
      const std::uint64_t size = std::min(kMaxRun, end_ - begin_);
      VMSNAP_RETURN_IF_ERROR(file_.write_at(body_offset_ + begin_, segment_.subspan(begin_, size)));
      begin_ += size;
      // Keeps the disk busy while we go on, instead of leaving everything to the fsync at the end. A hint:
      // where it is not understood, nothing is lost.
      if (begin_ - flushed_ >= kFlushWindow) {
        ::sync_file_range(file_.fd(), static_cast<off_t>(body_offset_ + flushed_),
                          static_cast<off_t>(begin_ - flushed_), SYNC_FILE_RANGE_WRITE);
        flushed_ = begin_;
      }
    }
    return {};
  }

 private:
  const File& file_;
  std::uint64_t body_offset_;
  ByteView segment_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t flushed_ = 0;
};

class SegmentWriter {
 public:
  SegmentWriter(const File& file, std::uint64_t body_offset, const RamSource& source,
                std::uint8_t extent_shift)
      : source_(source),
        extent_size_(std::uint64_t{1} << extent_shift),
        zero_leaf_(zero_hash(extent_size_)),
        runs_(file, body_offset, source.bytes) {}

  Result<void> write(FlatRamMeta& meta) {
    const std::uint64_t size = source_.bytes.size();
    for (std::size_t i = 0; i < meta.leaves.size(); ++i) {
      const std::uint64_t begin = i * extent_size_;
      const std::uint64_t end = std::min(size, begin + extent_size_);
      VMSNAP_ASSIGN_OR_RETURN(meta.leaves[i], write_extent(begin, end));
    }
    VMSNAP_RETURN_IF_ERROR(runs_.flush());
    meta.data_bytes = data_bytes_;
    return {};
  }

 private:
  /// The leaf of the extent. The hash is taken just before the write: the bytes are in the cache for both.
  Result<std::uint64_t> write_extent(std::uint64_t begin, std::uint64_t end) {
    const ByteView extent = source_.bytes.subspan(begin, end - begin);
    std::uint64_t data = 0;
    if (!source_.private_anonymous ||
        !absent_.all_absent(extent, source_.bytes.data() + source_.bytes.size())) {
      pages_.clear();
      for (std::uint64_t at = begin; at < end; at += kPageSize) {
        if (is_all_zero(source_.bytes.subspan(at, kPageSize))) continue;
        if (!pages_.empty() && pages_.back().end == at) {
          pages_.back().end += kPageSize;
        } else {
          pages_.push_back({at, at + kPageSize});
        }
        data += kPageSize;
      }
    }
    if (data == 0) return extent.size() == extent_size_ ? zero_leaf_ : zero_hash(extent.size());
    data_bytes_ += data;
    const std::uint64_t leaf = xxh3_64(extent);
    for (const FileRange& range : pages_) VMSNAP_RETURN_IF_ERROR(runs_.add(range.begin, range.end));
    return leaf;
  }

  const RamSource& source_;
  std::uint64_t extent_size_;
  std::uint64_t zero_leaf_;
  std::uint64_t data_bytes_ = 0;
  RunWriter runs_;
  AbsentPages absent_;
  std::vector<FileRange> pages_;  // runs of non-zero pages of the extent at hand
};

}  // namespace

Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                  const RamSource& source) {
  const std::uint64_t size = source.bytes.size();
  const bool aligned = reinterpret_cast<std::uintptr_t>(source.bytes.data()) % kPageSize == 0;
  if (size == 0 || size % kPageSize != 0 || (source.private_anonymous && !aligned)) {
    return Error(ErrorKind::kUsage,
                 fmt::format("memory segment {} of {} bytes does not consist of whole pages", segment, size));
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint8_t extent_shift, choose_extent_shift(size));
  FlatRamMeta meta{segment, extent_shift, 0, {}};
  meta.leaves.resize(extent_count(size, extent_shift));
  const auto meta_size = static_cast<std::uint32_t>(encode(meta).size());
  VMSNAP_ASSIGN_OR_RETURN(
      const ChunkReservation reservation,
      writer.reserve({kChunkFlatRam, schema_id, segment, kChunkCritical | kChunkLeaves}, meta_size, size,
                     std::uint64_t{1} << writer.header().body_align_shift));
  SegmentWriter segment_writer(writer.file(), reservation.body_offset, source, extent_shift);
  VMSNAP_RETURN_IF_ERROR(segment_writer.write(meta));
  VMSNAP_RETURN_IF_ERROR(writer.commit(reservation, encode(meta), leaves_hash(meta.leaves)));
  return WrittenRam{reservation.body_offset, meta.data_bytes};
}

}  // namespace vmsnap
