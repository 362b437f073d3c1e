// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/from_bhyve/file_source.h"

#include <fmt/format.h>

#include <cstring>

#include "base/hash.h"
#include "format/constants.h"
#include "format/digest.h"
#include "ram/flat_ram.h"

namespace vmsnap::compat::bhyve {

Result<void> FileSource::check(std::uint64_t size) {
  if (size == 0 || size % kPageSize != 0) {
    return Error(ErrorKind::kUsage, fmt::format("memory of {} bytes does not consist of whole pages", size));
  }
  VMSNAP_RETURN_IF_ERROR(choose_extent_shift(size));
  return {};
}

FileSource::FileSource(const File& file, std::uint64_t offset, std::uint64_t size,
                       const OverlaidMemory& changes, std::uint32_t segment)
    : ExtentSource(size, choose_extent_shift(size).value()),
      file_(file),
      offset_(offset),
      changes_(changes),
      segment_(segment),
      zero_leaf_(zero_hash(std::uint64_t{1} << extent_shift())) {}

Result<void> FileSource::scan(std::uint64_t index, Extent& extent) {
  extent.begin = extent_begin(index);
  extent.end = extent_end(index);
  extent.data.clear();
  VMSNAP_ASSIGN_OR_RETURN(const bool hole, is_hole(offset_ + extent.begin, offset_ + extent.end));
  extent.altered = changes_.is_changed(segment_, extent.begin, extent.end);
  if (hole && !extent.altered) {
    const std::uint64_t bytes = extent.end - extent.begin;
    extent.leaf = bytes == std::uint64_t{1} << extent_shift() ? zero_leaf_ : zero_hash(bytes);
    return {};
  }
  extent.storage.resize(extent.end - extent.begin);
  VMSNAP_RETURN_IF_ERROR(file_.read_at(offset_ + extent.begin, extent.storage));
  changes_.apply(segment_, extent.begin, extent.storage);
  use_storage(extent);
  return {};
}

Result<bool> FileSource::holds(std::uint64_t index, ByteView bytes) {
  other_.resize(extent_end(index) - extent_begin(index));
  VMSNAP_RETURN_IF_ERROR(file_.read_at(offset_ + extent_begin(index), other_));
  changes_.apply(segment_, extent_begin(index), other_);
  return other_.size() == bytes.size() && std::memcmp(other_.data(), bytes.data(), bytes.size()) == 0;
}

Result<bool> FileSource::is_hole(std::uint64_t begin, std::uint64_t end) {
  if (begin < asked_from_ || begin >= data_.end) {
    const std::uint64_t limit = offset_ + size();
    VMSNAP_ASSIGN_OR_RETURN(const auto found, file_.next_data(begin, limit));
    asked_from_ = begin;
    data_ = found ? *found : FileRange{limit, limit};
  }
  return end <= data_.begin;
}

}  // namespace vmsnap::compat::bhyve
