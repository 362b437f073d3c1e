// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/to_bhyve/to_bhyve.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/atomic_file.h"
#include "bhyve/convert/engine/newest_states.h"
#include "bhyve/convert/engine/overlaid_memory.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/engine/read_set.h"
#include "bhyve/convert/engine/target_shape.h"
#include "bhyve/convert/engine/write_set.h"
#include "bhyve/convert/to_bhyve/changed_source.h"
#include "bhyve/set/legacy_set.h"
#include "ram/flat_body_writer.h"

namespace vmsnap::compat::bhyve {
namespace {

std::string_view name_of(Vendor vendor) {
  return vendor == Vendor::kIntel ? "Intel" : "AMD";
}

Error refused(const SnapshotReader& from, std::string sentence) {
  return Error(ErrorKind::kUnsupported, std::move(sentence)).in_file(from.container().file().name());
}

Result<ByteVector> read_state(const SnapshotReader& from, const DeviceEntry& device, NewestStates& states) {
  VMSNAP_ASSIGN_OR_RETURN(ByteVector state, from.container().meta(from.device_chunk(device.instance)));
  return states.bring(device, std::move(state));
}

Result<void> add_devices(const SnapshotReader& from, NewestStates& states, Machine& machine) {
  for (const DeviceEntry& device : from.manifest().devices) {
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector state, read_state(from, device, states));
    VMSNAP_RETURN_IF_ERROR(machine.add(device.path, device.type, state));
  }
  return {};
}

Result<const DeviceEntry*> find_private(const SnapshotReader& from) {
  const auto& devices = from.manifest().devices;
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [](const DeviceEntry& device) { return device.type == kPrivateType; });
  if (found != devices.end()) return &*found;
  return refused(from,
                 fmt::format("it has no {}, so it was not converted from bhyve: what bhyve needs besides "
                             "hardware is known of its own snapshots only",
                             kPrivateType));
}

/// The vendor of a machine whose private state is not decoded yet.
Result<PrivateState> read_private(const SnapshotReader& from, const DeviceEntry& device, NewestStates& states,
                                  OverlaidMemory& memory) {
  Machine scratch(1, Vendor::kIntel, memory);
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector state, read_state(from, device, states));
  VMSNAP_RETURN_IF_ERROR(scratch.add(device.path, device.type, state));
  auto decoded = from_tree(*scratch.find(device.path));
  if (!decoded) return std::move(std::move(decoded).error().in_device(device.path));
  return decoded;
}

/// Guest memory of the snapshot as bhyve knows it.
struct Memory {
  std::vector<MemoryRegion> regions;    // in the order of the RAM file
  std::vector<SegmentReader> segments;  // by id
  std::optional<std::uint32_t> pixels;  // segment
  std::uint64_t size = 0;               // bytes of the RAM file
};

Result<Memory> open_memory(const SnapshotReader& from) {
  Memory memory;
  const MemoryMap& map = from.memory_map();
  for (const MemorySegment& segment : map.segments) {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader reader, from.segment(segment.id));
    memory.segments.push_back(std::move(reader));
    if (segment.name == kFramebufferSegment) memory.pixels = segment.id;
  }
  for (const MemoryMapping& mapping : map.mappings) {
    const MemorySegment& segment = map.segments[mapping.segment];
    if (segment.kind != SegmentKind::kSystemMemory) continue;
    if (mapping.segment_offset != 0 || mapping.size != segment.size) {
      return refused(from, fmt::format("only a part of {} is mapped, which bhyve does not do", segment.name));
    }
    memory.regions.push_back({mapping.guest_address, segment.size, segment.id});
    memory.size += segment.size;
  }
  const MemorySplit split = split_memory(memory.size);
  const auto is_at = [&](std::size_t i, std::uint64_t address, std::uint64_t size) {
    return memory.regions[i].address == Gpa(address) && memory.regions[i].size == size;
  };
  const std::size_t wanted = split.high > 0 ? 2 : 1;
  const bool fits = memory.regions.size() == wanted && is_at(0, 0, split.low) &&
                    (wanted == 1 || is_at(1, kHighMemoryBase, split.high));
  if (!fits) {
    return refused(from,
                   "guest memory does not lie where bhyve puts it: up to 3 GiB from 0 on, and the rest "
                   "from 4 GiB on");
  }
  return memory;
}

OverlaidMemory overlaid(const Memory& memory) {
  auto cursor = std::make_shared<SegmentCursor>();
  return OverlaidMemory(
      memory.regions, [&memory, cursor](std::uint32_t segment, std::uint64_t offset, MutableByteView pages) {
        return memory.segments[segment].read(offset, pages, false, *cursor);
      });
}

Result<ByteVector> read_all(const SegmentReader& segment) {
  constexpr std::uint64_t kMost = kMaxLegacyChunkSize;
  if (segment.size() > kMost) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the framebuffer has {} bytes, but bhyve's at most {}", segment.size(), kMost));
  }
  ByteVector bytes(segment.size());
  SegmentCursor cursor;
  VMSNAP_RETURN_IF_ERROR(segment.read(0, bytes, false, cursor));
  for (std::uint64_t i = 0; i < segment.leaves().size(); ++i) {
    const std::uint64_t begin = segment.extent_begin(i);
    VMSNAP_RETURN_IF_ERROR(
        segment.verify_bytes(i, ByteView(bytes).subspan(begin, segment.extent_end(i) - begin)));
  }
  return bytes;
}

Result<void> write_memory(const Memory& memory, const OverlaidMemory& changes, const File& to,
                          const PassOptions& pass) {
  VMSNAP_RETURN_IF_ERROR(to.truncate(memory.size));
  std::uint64_t base = 0;
  for (const MemoryRegion& region : memory.regions) {
    ChangedSource source(memory.segments[region.segment], changes, region.segment);
    VMSNAP_RETURN_IF_ERROR(write_flat_body({&to, base}, source, pass));
    base += region.size;
  }
  return {};
}

Result<void> write_kern(const WrittenSet& set, const File& to) {
  for (const KernPiece& piece : set.kern) VMSNAP_RETURN_IF_ERROR(to.write_at(piece.file_offset, piece.bytes));
  return {};
}

/// The three files on their way.
class Files {
 public:
  static Result<Files> create(const std::string& base) {
    Files files;
    for (const char* suffix : {".kern", "", ".meta"}) {
      files.paths_.push_back(base + suffix);
      const std::string& path = files.paths_.back();
      if (::access(path.c_str(), F_OK) == 0) {
        return Error(
                   ErrorKind::kUsage,
                   "this file exists already; three files cannot be replaced at once, so choose another name")
            .in_file(path);
      }
      VMSNAP_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
      files.files_.push_back(std::move(file));
    }
    return files;
  }

  [[nodiscard]] const File& kern() const { return files_[0].file(); }
  [[nodiscard]] const File& memory() const { return files_[1].file(); }
  [[nodiscard]] const File& meta() const { return files_[2].file(); }

  Result<void> publish() {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      auto published = files_[i].publish();
      if (published) continue;
      for (std::size_t done = 0; done <= i; ++done) ::unlink(paths_[done].c_str());
      return published;
    }
    return {};
  }

 private:
  std::vector<std::string> paths_;
  std::vector<AtomicFile> files_;
};

}  // namespace

Result<ConversionReport> to_bhyve(const SnapshotReader& from, const std::string& base,
                                  const ToBhyveOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(const DeviceEntry* device, find_private(from));
  VMSNAP_ASSIGN_OR_RETURN(const Memory memory, open_memory(from));
  OverlaidMemory changes = overlaid(memory);
  NewestStates states;
  VMSNAP_ASSIGN_OR_RETURN(const PrivateState state, read_private(from, *device, states, changes));
  if (options.vendor && *options.vendor != state.vendor) {
    return refused(from,
                   fmt::format("it was saved on a host with {} CPUs, and what their virtualization keeps "
                               "of a guest cannot be told from what that of {} would",
                               name_of(state.vendor), name_of(*options.vendor)));
  }
  Machine machine(from.manifest().vcpu_count, state.vendor, changes);
  VMSNAP_RETURN_IF_ERROR(add_devices(from, states, machine));
  WriteSetOptions write_options;
  write_options.shape = options.shape;
  write_options.repair = options.repair;
  write_options.memsize = memory.size;
  if (memory.pixels) {
    VMSNAP_ASSIGN_OR_RETURN(write_options.pixels, read_all(memory.segments[*memory.pixels]));
  }
  auto laid_out = write_set(machine, state, changes, write_options);
  if (!laid_out) return std::move(std::move(laid_out).error().in_file(from.container().file().name()));
  WrittenSet written = *std::move(laid_out);
  std::vector<Remark> remarks = states.take_remarks();
  remarks.insert(remarks.end(), written.report.remarks.begin(), written.report.remarks.end());
  written.report.remarks = std::move(remarks);
  if (base.empty()) return std::move(written.report);
  VMSNAP_ASSIGN_OR_RETURN(Files files, Files::create(base));
  VMSNAP_RETURN_IF_ERROR(write_kern(written, files.kern()));
  VMSNAP_RETURN_IF_ERROR(write_memory(memory, changes, files.memory(), options.pass));
  VMSNAP_RETURN_IF_ERROR(files.meta().write_at(0, as_byte_view(written.meta_text)));
  VMSNAP_RETURN_IF_ERROR(files.publish());
  return std::move(written.report);
}

}  // namespace vmsnap::compat::bhyve
