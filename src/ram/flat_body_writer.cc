// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_body_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/parallel.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kMaxRun = 1u << 20;
constexpr std::uint64_t kFlushWindow = 32u << 20;
constexpr std::size_t kGroups = 4;
constexpr std::uint64_t kGroupData = 512u << 10;
constexpr std::size_t kGroupExtents = 256;
// Of a source that is not memory, where an extent takes its whole size however little data it has.
constexpr std::uint64_t kGroupStorage = 2u << 20;

/// Extents that are looked at together: some data, or many without.
struct Group {
  std::vector<Extent> extents;
  std::size_t used = 0;

  [[nodiscard]] std::span<const Extent> in_use() const { return std::span(extents).first(used); }

  /// Takes extents from number `next` on; returns the number to go on with.
  Result<std::uint64_t> fill(ExtentSource& source, std::uint64_t next) {
    used = 0;
    std::uint64_t data = 0;
    const std::size_t most =
        source.is_memory() ? kGroupExtents : std::max<std::size_t>(1, kGroupStorage >> source.extent_shift());
    while (used < most && data < kGroupData) {
      VMSNAP_ASSIGN_OR_RETURN(const bool more, source.has(next));
      if (!more) break;
      if (used == extents.size()) extents.emplace_back();
      VMSNAP_RETURN_IF_ERROR(source.scan(next, extents[used]));
      data += extents[used].data_bytes();
      ++used;
      ++next;
    }
    return next;
  }
};

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

Result<void> copy_repeats(const Extent& extent, const FilePlace& body) {
  ByteVector piece;
  for (const PageRepeat& repeat : extent.repeats) {
    for (std::uint64_t at = repeat.begin; at < repeat.end; at += piece.size()) {
      piece.resize(std::min(kMaxRun, repeat.end - at));
      const std::uint64_t from = repeat.source + (at - repeat.begin);
      VMSNAP_RETURN_IF_ERROR(body.file->read_at(body.offset + from, piece));
      VMSNAP_RETURN_IF_ERROR(body.file->write_at(body.offset + at, piece));
    }
  }
  return {};
}

}  // namespace

Result<void> write_flat_body(const FilePlace& body, ExtentSource& source, const PassOptions& options,
                             const std::function<void(const Extent&)>& on_extent) {
  bool shared = false;
  if (const auto original = source.original()) {
    VMSNAP_ASSIGN_OR_RETURN(
        shared, body.file->share_at(body.offset, *original->file, original->offset, source.size()));
  }
  RunWriter runs(*body.file, body.offset);
  const auto write_pages = [&](const Extent& extent) -> Result<void> {
    if (!shared) {
      for (const ByteRange& range : extent.data) {
        VMSNAP_RETURN_IF_ERROR(runs.add(range.begin, extent.view(range)));
      }
    } else if (extent.altered) {
      // Where the original has data, zero pages must be written, too.
      VMSNAP_RETURN_IF_ERROR(runs.add(extent.begin, extent.bytes));
    }
    if (!source.is_memory()) VMSNAP_RETURN_IF_ERROR(runs.flush());
    return copy_repeats(extent, body);
  };
  // With a second thread, the next group is looked at while this one is written: its bytes are then in the
  // cache that the cores share.
  const unsigned threads =
      source.extent_shift() > kMaxParallelShift ? 1 : std::clamp(options.threads, 1u, 2u);
  std::vector<Group> groups(threads == 1 ? 1 : kGroups);
  std::uint64_t next = source.first_extent();
  PipelineSteps steps;
  steps.produce = [&](std::size_t slot) -> Result<bool> {
    VMSNAP_RETURN_IF_ERROR(check_cancelled(options));
    VMSNAP_ASSIGN_OR_RETURN(next, groups[slot].fill(source, next));
    return groups[slot].used > 0;
  };
  steps.work = [](std::size_t) { return Result<void>(); };
  steps.consume = [&](std::size_t slot) -> Result<void> {
    for (const Extent& extent : groups[slot].in_use()) {
      if (on_extent) on_extent(extent);
      VMSNAP_RETURN_IF_ERROR(write_pages(extent));
      if (options.progress) options.progress(extent.end - extent.begin);
    }
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(ordered_pipeline(threads, groups.size(), steps));
  return runs.flush();
}

}  // namespace vmsnap
