// SPDX-License-Identifier: BSD-2-Clause
#include "ram/remains_source.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "base/parallel.h"
#include "format/digest.h"

namespace vmsnap {
namespace {

// Enough at once that threads do not meet at the counter, little enough that all end together.
constexpr std::uint64_t kBytesAtOnce = 4u << 20;

}  // namespace

Result<LostExtents> find_lost_extents(const SegmentRemains& segment, const PassOptions& pass) {
  struct Worker {
    ByteVector buffer;
    RemainsCursor cursor;
  };
  LostExtents lost;
  std::mutex mutex;
  const std::uint64_t grain = std::max<std::uint64_t>(1, kBytesAtOnce >> segment.extent_shift());
  const auto look = [&](std::uint64_t first, std::uint64_t last, Worker& worker) -> Result<void> {
    VMSNAP_RETURN_IF_ERROR(check_cancelled(pass));
    for (std::uint64_t i = first; i < last; ++i) {
      VMSNAP_ASSIGN_OR_RETURN(auto reason, segment.read(i, worker.buffer, worker.cursor));
      if (!reason) continue;
      const std::lock_guard lock(mutex);
      lost.emplace(i, std::move(*reason));
    }
    if (pass.progress) pass.progress(segment.extent_end(last - 1) - segment.extent_begin(first));
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(parallel_for(segment.extent_count(), grain, pass.threads, [&] {
    return [&look, worker = std::make_shared<Worker>()](std::uint64_t first, std::uint64_t last) {
      return look(first, last, *worker);
    };
  }));
  return lost;
}

RemainsSource::RemainsSource(const SegmentRemains& segment, const LostExtents& lost)
    : ExtentSource(segment.size(), segment.extent_shift()), segment_(segment), lost_(lost) {}

Result<void> RemainsSource::scan(std::uint64_t index, Extent& extent) {
  extent.begin = extent_begin(index);
  extent.end = extent_end(index);
  extent.data.clear();
  VMSNAP_RETURN_IF_ERROR(read(index, extent.storage));
  if (extent.storage.empty()) {
    extent.leaf = zero_leaf(extent.end - extent.begin);
    return {};
  }
  use_storage(extent);
  return {};
}

Result<bool> RemainsSource::holds(std::uint64_t index, ByteView bytes) {
  VMSNAP_RETURN_IF_ERROR(read(index, other_));
  if (other_.empty()) return is_all_zero(bytes) && bytes.size() == extent_end(index) - extent_begin(index);
  return other_.size() == bytes.size() && std::memcmp(other_.data(), bytes.data(), bytes.size()) == 0;
}

Result<void> RemainsSource::read(std::uint64_t index, ByteVector& out) {
  out.clear();
  if (lost_.count(index) != 0) return {};
  VMSNAP_ASSIGN_OR_RETURN(const auto reason, segment_.read(index, out, cursor_));
  if (!reason) return {};
  return Error(ErrorKind::kCorrupt, "the file changed while it was read; try again when nobody writes to it");
}

std::uint64_t RemainsSource::zero_leaf(std::uint64_t size) {
  if (size != zero_size_) {
    zero_size_ = size;
    zero_leaf_ = zero_hash(size);
  }
  return zero_leaf_;
}

}  // namespace vmsnap
