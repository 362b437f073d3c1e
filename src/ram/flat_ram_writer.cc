// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "format/digest.h"
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
  RunWriter runs(*writer.sink().seekable(), reservation.body_offset, source.bytes);
  ExtentScanner scanner(source, extent_shift);
  for (std::size_t i = 0; i < meta.leaves.size(); ++i) {
    scanner.scan(i);
    meta.leaves[i] = scanner.leaf();
    meta.data_bytes += scanner.data_bytes();
    for (const ByteRange& range : scanner.data()) VMSNAP_RETURN_IF_ERROR(runs.add(range.begin, range.end));
  }
  VMSNAP_RETURN_IF_ERROR(runs.flush());
  VMSNAP_RETURN_IF_ERROR(writer.commit(reservation, encode(meta), leaves_hash(meta.leaves)));
  return WrittenRam{reservation.body_offset, meta.data_bytes};
}

}  // namespace vmsnap
