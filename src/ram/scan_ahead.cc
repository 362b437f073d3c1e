// SPDX-License-Identifier: BSD-2-Clause
#include "ram/scan_ahead.h"

#include <system_error>

namespace vmsnap {
namespace {

// Far enough to even out what writes of different length take, near enough that nothing leaves the cache.
constexpr std::size_t kGroups = 4;
constexpr std::uint64_t kGroupData = 512u << 10;
constexpr std::size_t kGroupExtents = 256;
// Sources without memory of their own keep the bytes of all groups.
constexpr std::uint8_t kMaxExtentShift = 23;

}  // namespace

ScanAhead::ScanAhead(ExtentSource& source, bool parallel) : source_(source) {
  if (!parallel || source.extent_shift() > kMaxExtentShift) return;
  groups_.resize(kGroups);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // No thread to be had: next() does it.
  }
}

ScanAhead::~ScanAhead() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::uint64_t ScanAhead::fill(Group& group, std::uint64_t index) {
  group.used = 0;
  std::uint64_t data = 0;
  while (index < source_.extent_count() && group.used < kGroupExtents && data < kGroupData) {
    if (group.used == group.extents.size()) group.extents.emplace_back();
    Extent& extent = group.extents[group.used];
    if (auto scanned = source_.scan(index, extent); !scanned) {
      group.failed = std::move(scanned).error();
      return source_.extent_count();
    }
    data += extent.data_bytes();
    ++group.used;
    ++index;
  }
  return index;
}

void ScanAhead::run() {
  std::uint64_t index = 0;
  for (std::uint64_t number = 0; index < source_.extent_count(); ++number) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || number - released_ < kGroups; });
      if (stop_) return;
    }
    index = fill(groups_[number % kGroups], index);
    {
      const std::lock_guard lock(mutex_);
      ++filled_;
    }
    changed_.notify_all();
  }
}

Result<const Extent*> ScanAhead::next() {
  if (!thread_.joinable()) {
    VMSNAP_RETURN_IF_ERROR(source_.scan(next_index_++, single_));
    return &single_;
  }
  if (taken_ == nullptr || next_extent_ == taken_->used) {
    std::unique_lock lock(mutex_);
    if (taken_ != nullptr) {
      if (taken_->failed) return *taken_->failed;
      ++released_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return filled_ > released_; });
    taken_ = &groups_[released_ % kGroups];
    next_extent_ = 0;
    if (taken_->used == 0) return *taken_->failed;
  }
  return &taken_->extents[next_extent_++];
}

}  // namespace vmsnap
