// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram_writer.h"

#include <fcntl.h>

#include <algorithm>

#include "format/digest.h"
#include "ram/flat_ram.h"
#include "ram/scan_ahead.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kMaxRun = 1u << 20;
constexpr std::uint64_t kFlushWindow = 32u << 20;
// Not worth a thread.
constexpr std::size_t kFewExtents = 16;

/// Gathers adjacent pages into writes of up to kMaxRun.
class RunWriter {
 public:
  RunWriter(const File& file, std::uint64_t body_offset) : file_(file), body_offset_(body_offset) {}

  /// `bytes`, which belong at `begin` of the segment, must stay until flush().
  Result<void> add(std::uint64_t begin, ByteView bytes) {
    const bool adjacent = begin == begin_ + run_.size() && bytes.data() == run_.data() + run_.size();
    if (!adjacent || run_.size() > kMaxRun) {
      VMSNAP_RETURN_IF_ERROR(flush());
      begin_ = begin;
      run_ = bytes;
    } else {
      run_ = {run_.data(), run_.size() + bytes.size()};
    }
    return {};
  }

  Result<void> flush() {
    while (!run_.empty()) {
      const std::uint64_t size = std::min<std::uint64_t>(kMaxRun, run_.size());
      VMSNAP_RETURN_IF_ERROR(file_.write_at(body_offset_ + begin_, run_.first(size)));
      begin_ += size;
      run_ = run_.subspan(size);
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
  ByteView run_;
  std::uint64_t begin_ = 0;  // of the run in the segment
  std::uint64_t flushed_ = 0;
};

}  // namespace

Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                  ExtentSource& source, const PassOptions& options) {
  FlatRamMeta meta{segment, source.extent_shift(), 0, {}};
  meta.leaves.resize(source.extent_count());
  const auto meta_size = static_cast<std::uint32_t>(encode(meta).size());
  VMSNAP_ASSIGN_OR_RETURN(
      const ChunkReservation reservation,
      writer.reserve({kChunkFlatRam, schema_id, segment, kChunkCritical | kChunkLeaves}, meta_size,
                     source.size(), std::uint64_t{1} << writer.header().body_align_shift));
  RunWriter runs(*writer.sink().seekable(), reservation.body_offset);
  ScanAhead scanner(source, options.threads > 1 && meta.leaves.size() > kFewExtents);
  for (std::uint64_t& leaf : meta.leaves) {
    VMSNAP_RETURN_IF_ERROR(check_cancelled(options));
    VMSNAP_ASSIGN_OR_RETURN(const Extent* extent, scanner.next());
    leaf = extent->leaf;
    meta.data_bytes += extent->data_bytes();
    for (const ByteRange& range : extent->data) {
      VMSNAP_RETURN_IF_ERROR(runs.add(range.begin, extent->view(range)));
    }
    if (!source.is_memory()) VMSNAP_RETURN_IF_ERROR(runs.flush());
    if (options.progress) options.progress(extent->end - extent->begin);
  }
  VMSNAP_RETURN_IF_ERROR(runs.flush());
  VMSNAP_RETURN_IF_ERROR(writer.commit(reservation, encode(meta), leaves_hash(meta.leaves)));
  return WrittenRam{meta.data_bytes, meta.data_bytes};
}

Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                  const RamSource& memory, const PassOptions& options) {
  VMSNAP_RETURN_IF_ERROR(MemorySource::check(memory));
  MemorySource source(memory);
  return write_flat_ram(writer, schema_id, segment, source, options);
}

}  // namespace vmsnap
