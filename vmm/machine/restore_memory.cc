// SPDX-License-Identifier: BSD-2-Clause
#include "machine/restore_memory.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "ram/lazy_memory.h"
#include "ram/ram_loader.h"

namespace vmsnap::vmm {
namespace {

PassOptions with_all_cores() {
  PassOptions options;
  options.threads = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

Result<GuestMemory> map_memory(const std::shared_ptr<SnapshotReader>& reader,
                               std::vector<SegmentReader> segments, RamVerify verify) {
  std::vector<Mapping> mappings;
  for (const SegmentReader& segment : segments) {
    VMSNAP_ASSIGN_OR_RETURN(Mapping mapping, segment.map());
    // Through the mapping that the guest will use, so that what was checked is what it gets.
    if (verify == RamVerify::kFull) {
      VMSNAP_RETURN_IF_ERROR(verify_segment(segment, mapping.bytes(), with_all_cores()));
    }
    mappings.push_back(std::move(mapping));
  }
  return GuestMemory::adopt(reader->memory_map(), std::move(mappings), std::move(segments), reader);
}

Result<GuestMemory> load_memory(const MemoryMap& map, const std::vector<SegmentReader>& segments,
                                RamVerify verify) {
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory, GuestMemory::allocate(map, MemoryOrigin::kEager));
  for (std::uint32_t id = 0; id < segments.size(); ++id) {
    VMSNAP_RETURN_IF_ERROR(
        load_segment(segments[id], memory.segment(id), verify == RamVerify::kFull, with_all_cores()));
  }
  return memory;
}

Result<GuestMemory> fill_memory_lazily(const std::shared_ptr<SnapshotReader>& reader,
                                       std::vector<SegmentReader> segments, RamVerify verify,
                                       const MemoryRequest& request) {
  if (verify == RamVerify::kFull) {
    for (const SegmentReader& segment : segments) {
      VMSNAP_RETURN_IF_ERROR(verify_segment(segment, {}, with_all_cores()));
    }
  }
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory,
                          GuestMemory::allocate(reader->memory_map(), MemoryOrigin::kLazy));
  std::vector<LazySegment> lazy_segments;
  for (std::uint32_t id = 0; id < segments.size(); ++id) {
    lazy_segments.push_back({std::move(segments[id]), memory.segment(id)});
  }
  LazyOptions options;
  options.verify = verify != RamVerify::kNone;
  options.on_error = request.on_error;
  VMSNAP_ASSIGN_OR_RETURN(auto lazy, LazyMemory::start(std::move(lazy_segments), reader, std::move(options)));
  memory.attach(std::move(lazy));
  return memory;
}

}  // namespace

Result<GuestMemory> restore_memory(const std::shared_ptr<SnapshotReader>& reader,
                                   const MemoryRequest& request) {
  std::vector<SegmentReader> segments;
  for (const MemorySegment& segment : reader->memory_map().segments) {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader stored, reader->take_segment(segment.id));
    segments.push_back(std::move(stored));
  }
  const bool mappable = std::ranges::all_of(segments, [](const auto& s) { return s.is_mappable(); });
  const MemoryOrigin engine =
      request.engine.value_or(mappable ? MemoryOrigin::kMapped : MemoryOrigin::kEager);
  const RamVerify verify =
      request.verify.value_or(engine == MemoryOrigin::kLazy ? RamVerify::kLazy : RamVerify::kFull);
  if (verify == RamVerify::kLazy && engine != MemoryOrigin::kLazy) {
    return Error(ErrorKind::kUsage,
                 "memory is verified lazily only when it is restored lazily; add --memory lazy, or verify it "
                 "in full");
  }
  switch (engine) {
    case MemoryOrigin::kMapped:
      if (!mappable) {
        return Error(ErrorKind::kUsage,
                     "the memory in this file is compressed or too scattered to be mapped; restore it with "
                     "--memory eager or --memory lazy");
      }
      return map_memory(reader, std::move(segments), verify);
    case MemoryOrigin::kLazy:
      return fill_memory_lazily(reader, std::move(segments), verify, request);
    default:
      return load_memory(reader->memory_map(), segments, verify);
  }
}

}  // namespace vmsnap::vmm
