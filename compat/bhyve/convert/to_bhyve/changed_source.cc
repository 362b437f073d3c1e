// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/to_bhyve/changed_source.h"

#include <algorithm>

namespace vmsnap::compat::bhyve {

ChangedSource::ChangedSource(const SegmentReader& stored, const OverlaidMemory& changes,
                             std::uint32_t segment)
    : ExtentSource(stored.size(), stored.extent_shift()),
      reader_(stored),
      stored_(stored),
      changes_(changes),
      segment_(segment) {}

Result<void> ChangedSource::scan(std::uint64_t index, Extent& extent) {
  VMSNAP_RETURN_IF_ERROR(stored_.scan(index, extent));
  extent.altered = changes_.is_changed(segment_, extent.begin, extent.end);
  if (!extent.altered) return {};
  if (extent.data.empty()) extent.storage.assign(extent.end - extent.begin, std::byte{0});
  changes_.apply(segment_, extent.begin, extent.storage);
  use_storage(extent);
  return {};
}

Result<bool> ChangedSource::holds(std::uint64_t index, ByteView bytes) {
  Extent extent;
  VMSNAP_RETURN_IF_ERROR(scan(index, extent));
  if (extent.end - extent.begin != bytes.size()) return false;
  if (extent.data.empty()) return is_all_zero(bytes);
  return std::equal(extent.bytes.begin(), extent.bytes.end(), bytes.begin());
}

}  // namespace vmsnap::compat::bhyve
