// SPDX-License-Identifier: BSD-2-Clause
#include "core/guest_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

namespace vmsnap::vmm {

std::string_view to_string(MemoryOrigin origin) {
  switch (origin) {
    case MemoryOrigin::kFresh:
      return "fresh";
    case MemoryOrigin::kMapped:
      return "map";
    case MemoryOrigin::kEager:
      return "eager";
    case MemoryOrigin::kLazy:
      return "lazy";
  }
  return "fresh";
}

MemoryMap GuestMemory::layout(std::uint64_t size) {
  MemoryMap map;
  const std::uint64_t low = std::min(size, kLowMemoryLimit);
  map.segments.push_back({0, "ram-low", SegmentKind::kSystemMemory, low});
  map.mappings.push_back({0, 0, Gpa(0), low, false});
  if (size > low) {
    map.segments.push_back({1, "ram-high", SegmentKind::kSystemMemory, size - low});
    map.mappings.push_back({1, 0, Gpa(kHighMemoryBase), size - low, false});
  }
  return map;
}

Result<GuestMemory> GuestMemory::allocate(const MemoryMap& map, MemoryOrigin origin) {
  VMSNAP_RETURN_IF_ERROR(validate(map));
  std::vector<Mapping> segments;
  for (const MemorySegment& segment : map.segments) {
    VMSNAP_ASSIGN_OR_RETURN(Mapping mapping, Mapping::anonymous(segment.size));
    // Advice only: a kernel without transparent huge pages gives the same memory, slower.
    ::madvise(mapping.data(), mapping.size(), MADV_HUGEPAGE);
    segments.push_back(std::move(mapping));
  }
  return GuestMemory(map, std::move(segments), origin);
}

Result<void> GuestMemory::check_fit(const MemoryMap& map, const std::vector<Mapping>& segments) {
  VMSNAP_RETURN_IF_ERROR(validate(map));
  bool fits = segments.size() == map.segments.size();
  for (std::size_t i = 0; fits && i < segments.size(); ++i) fits = segments[i].size() == map.segments[i].size;
  if (fits) return {};
  return Error(ErrorKind::kInvalidState, "the mappings given do not fit the segments of the memory map");
}

Result<GuestMemory> GuestMemory::adopt(const MemoryMap& map, std::vector<Mapping> segments) {
  VMSNAP_RETURN_IF_ERROR(check_fit(map, segments));
  return GuestMemory(map, std::move(segments), MemoryOrigin::kEager);
}

Result<GuestMemory> GuestMemory::adopt(const MemoryMap& map, std::vector<Mapping> segments,
                                       std::vector<SegmentReader> stored, std::shared_ptr<const void> file) {
  VMSNAP_RETURN_IF_ERROR(check_fit(map, segments));
  bool fits = stored.size() == segments.size();
  for (std::size_t i = 0; fits && i < segments.size(); ++i) fits = stored[i].size() == segments[i].size();
  if (!fits) {
    return Error(ErrorKind::kInvalidState, "the readers given do not fit the segments of the memory map");
  }
  GuestMemory memory(map, std::move(segments), MemoryOrigin::kMapped);
  memory.stored_ = std::move(stored);
  memory.file_ = std::move(file);
  return memory;
}

RamSource GuestMemory::source(std::uint32_t id) const {
  RamSource source;
  source.bytes = segments_[id].bytes();
  if (origin_ == MemoryOrigin::kMapped) {
    source.mapped_from = &stored_[id];
  } else {
    source.private_anonymous = is_filled();
  }
  return source;
}

Result<void> GuestMemory::wait_filled(unsigned threads) const {
  return lazy_ ? lazy_->wait_filled(threads) : Result<void>{};
}

std::optional<MutableByteView> GuestMemory::find(Gpa address, std::uint64_t size) const {
  for (const MemoryMapping& mapping : map_.mappings) {
    if (address < mapping.guest_address) break;
    const std::uint64_t offset = address.value() - mapping.guest_address.value();
    if (offset >= mapping.size) continue;
    if (size > mapping.size - offset) return std::nullopt;
    return segments_[mapping.segment].bytes().subspan(mapping.segment_offset + offset, size);
  }
  return std::nullopt;
}

bool GuestMemory::read(Gpa address, MutableByteView out) const {
  const auto bytes = find(address, out.size());
  if (!bytes) return false;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return true;
}

bool GuestMemory::write(Gpa address, ByteView bytes) const {
  const auto target = find(address, bytes.size());
  if (!target) return false;
  std::copy(bytes.begin(), bytes.end(), target->begin());
  return true;
}

}  // namespace vmsnap::vmm
