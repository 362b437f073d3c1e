// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/overlaid_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "format/constants.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 20;

}  // namespace

Result<OverlaidMemory::Place> OverlaidMemory::find(Gpa address, std::uint64_t size) const {
  if (size > kMostAtOnce) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("{} bytes of guest memory are more than anything at one place has", size));
  }
  for (const MemoryRegion& region : regions_) {
    if (address < region.address) continue;
    const std::uint64_t offset = address.value() - region.address.value();
    if (offset <= region.size && size <= region.size - offset) return Place{region.segment, offset};
  }
  return Error(ErrorKind::kCorrupt, fmt::format("{} bytes at the guest's address {:#x} are not in its memory",
                                                size, address.value()));
}

Result<ByteVector> OverlaidMemory::read(Gpa address, std::uint64_t size, bool changed) const {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(address, size));
  if (size == 0) return ByteVector{};
  const std::uint64_t begin = place.offset / kPageSize * kPageSize;
  const std::uint64_t end = (place.offset + size + kPageSize - 1) / kPageSize * kPageSize;
  ByteVector pages(end - begin);
  VMSNAP_RETURN_IF_ERROR(read_pages_(place.segment, begin, pages));
  if (changed) apply(place.segment, begin, pages);
  const auto first = pages.begin() + static_cast<std::ptrdiff_t>(place.offset - begin);
  return ByteVector(first, first + static_cast<std::ptrdiff_t>(size));
}

Result<ByteVector> OverlaidMemory::read(Gpa address, std::uint64_t size) const {
  return read(address, size, true);
}

Result<ByteVector> OverlaidMemory::read_original(Gpa address, std::uint64_t size) const {
  return read(address, size, false);
}

Result<void> OverlaidMemory::write(Gpa address, ByteView bytes) {
  VMSNAP_ASSIGN_OR_RETURN(const Place place, find(address, bytes.size()));
  for (std::uint64_t done = 0; done < bytes.size();) {
    const std::uint64_t at = place.offset + done;
    const std::uint64_t page = at / kPageSize * kPageSize;
    const std::uint64_t in_page = at - page;
    const std::uint64_t size = std::min<std::uint64_t>(kPageSize - in_page, bytes.size() - done);
    auto found = pages_.find({place.segment, page});
    if (found == pages_.end()) {
      ByteVector content(kPageSize);
      VMSNAP_RETURN_IF_ERROR(read_pages_(place.segment, page, content));
      const ByteView before(content);
      if (std::memcmp(before.data() + in_page, bytes.data() + done, size) == 0) {
        done += size;
        continue;
      }
      found = pages_.emplace(std::pair{place.segment, page}, std::move(content)).first;
    }
    std::memcpy(found->second.data() + in_page, bytes.data() + done, size);
    done += size;
  }
  return {};
}

bool OverlaidMemory::is_changed(std::uint32_t segment, std::uint64_t begin, std::uint64_t end) const {
  const auto found = pages_.lower_bound({segment, begin});
  return found != pages_.end() && found->first.first == segment && found->first.second < end;
}

void OverlaidMemory::apply(std::uint32_t segment, std::uint64_t begin, MutableByteView bytes) const {
  const std::uint64_t end = begin + bytes.size();
  for (auto page = pages_.lower_bound({segment, begin}); page != pages_.end(); ++page) {
    if (page->first.first != segment || page->first.second >= end) return;
    std::memcpy(bytes.data() + (page->first.second - begin), page->second.data(), kPageSize);
  }
}

}  // namespace vmsnap::compat::bhyve
