// SPDX-License-Identifier: BSD-2-Clause
#include "ram/stored_source.h"

#include <cstring>
#include <utility>

namespace vmsnap {

StoredSource::StoredSource(SegmentReader segment)
    : ExtentSource(segment.size(), segment.extent_shift()), segment_(std::move(segment)) {}

Result<void> StoredSource::scan(std::uint64_t index, Extent& extent) {
  extent.begin = extent_begin(index);
  extent.end = extent_end(index);
  extent.leaf = segment_.leaves()[index];
  VMSNAP_ASSIGN_OR_RETURN(const bool hole, segment_.is_hole(index, cursor_));
  if (hole) {
    extent.data.clear();
    return segment_.verify_zero(index);
  }
  extent.storage.resize(extent.end - extent.begin);
  extent.bytes = extent.storage;
  VMSNAP_RETURN_IF_ERROR(segment_.read(extent.begin, extent.storage, false, cursor_));
  VMSNAP_RETURN_IF_ERROR(segment_.verify_bytes(index, extent.bytes));
  find_data(extent);
  return {};
}

Result<bool> StoredSource::holds(std::uint64_t index, ByteView bytes) {
  other_.resize(extent_end(index) - extent_begin(index));
  VMSNAP_RETURN_IF_ERROR(segment_.read(extent_begin(index), other_, false, cursor_));
  return other_.size() == bytes.size() && std::memcmp(other_.data(), bytes.data(), bytes.size()) == 0;
}

}  // namespace vmsnap
