// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/from_bhyve/from_bhyve.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "bhyve/convert/engine/overlaid_memory.h"
#include "bhyve/convert/engine/private_state.h"
#include "bhyve/convert/engine/read_set.h"
#include "bhyve/convert/from_bhyve/file_source.h"
#include "bhyve/convert/from_bhyve/slots.h"
#include "format/constants.h"
#include "format/file_header.h"
#include "snapshot/copy_writer.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/provenance.h"
#include "snapshot/text.h"
#include "versions/versions.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kLowName = "ram-low";
constexpr std::string_view kHighName = "ram-high";

/// A segment and where its bytes are.
struct Part {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  MemorySegment segment;
  std::optional<Gpa> address;
};

Result<void> check_memory(const LegacySet& set) {
  const std::uint64_t size = set.meta().memsize;
  const auto refused = [&](std::string sentence) {
    return Error(ErrorKind::kUnsupported, std::move(sentence)).in_file(set.memory().name());
  };
  if (set.memory_size() != size) {
    return refused(
        fmt::format("it has {} bytes, but the .meta file says that the guest has {}; use a whole "
                    "copy of the snapshot",
                    set.memory_size(), size));
  }
  if (size == 0 || size % kPageSize != 0) {
    return refused(fmt::format("guest memory of {} bytes does not consist of whole pages", size));
  }
  return {};
}

std::vector<Part> memory_parts(const LegacySet& set) {
  const MemorySplit split = split_memory(set.meta().memsize);
  std::vector<Part> parts;
  parts.push_back(
      {&set.memory(), 0, {0, std::string(kLowName), SegmentKind::kSystemMemory, split.low}, Gpa(0)});
  if (split.high > 0) {
    parts.push_back({&set.memory(),
                     split.low,
                     {1, std::string(kHighName), SegmentKind::kSystemMemory, split.high},
                     Gpa(kHighMemoryBase)});
  }
  return parts;
}

OverlaidMemory overlaid(const std::vector<Part>& parts) {
  std::vector<MemoryRegion> regions;
  for (const Part& part : parts) regions.push_back({*part.address, part.segment.size, part.segment.id});
  return OverlaidMemory(std::move(regions),
                        [parts](std::uint32_t segment, std::uint64_t offset, MutableByteView pages) {
                          const Part& part = parts[segment];
                          return part.file->read_at(part.offset + offset, pages);
                        });
}

void add_pixels(const LegacySet& set, const Pixels& pixels, std::vector<Part>& parts) {
  const auto id = static_cast<std::uint32_t>(parts.size());
  Part part{&set.kern(),
            pixels.kern_offset,
            {id, std::string(kFramebufferSegment), SegmentKind::kDeviceMemory, pixels.size},
            {}};
  // An address that memory has already is none that the guest could use.
  const bool is_free =
      pixels.address && std::none_of(parts.begin(), parts.end(), [&](const Part& other) {
        const std::uint64_t begin = pixels.address->value();
        return begin > ~pixels.size || (begin < other.address->value() + other.segment.size &&
                                        other.address->value() < begin + pixels.size);
      });
  if (is_free) part.address = pixels.address;
  parts.push_back(std::move(part));
}

MemoryMap map_of(const std::vector<Part>& parts) {
  MemoryMap map;
  for (const Part& part : parts) {
    map.segments.push_back(part.segment);
    if (part.address) map.mappings.push_back({part.segment.id, 0, *part.address, part.segment.size, false});
  }
  std::sort(map.mappings.begin(), map.mappings.end(),
            [](const MemoryMapping& a, const MemoryMapping& b) { return a.guest_address < b.guest_address; });
  return map;
}

/// When the last of the three files was written: the guest was stopped shortly before.
std::int64_t time_of(const LegacySet& set) {
  struct stat status {};
  if (::stat(set.meta_path().c_str(), &status) != 0) return 0;
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

/// Chunks of a file are made anew: what was there is known by the hash of what says it.
Result<Digest128> digest_of(const LegacySet& set) {
  Xxh3Stream hash;
  hash.update(as_byte_view(set.meta_text()));
  ByteVector piece;
  for (std::uint64_t at = 0; at < set.kern_size(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(set.kern_size() - at, std::uint64_t{1} << 20));
    VMSNAP_RETURN_IF_ERROR(set.kern().read_at(at, piece));
    hash.update(piece);
  }
  return hash.digest_128();
}

class Writer {
 public:
  Writer(const LegacySet& set, ReadSet& read, const OverlaidMemory& memory, std::vector<Part> parts,
         const FromBhyveOptions& options)
      : set_(set),
        read_(read),
        memory_(memory),
        parts_(std::move(parts)),
        options_(options),
        types_(frozen_device_chunk_types()),
        annotations_(annotation_chunk_types()) {}

  Result<SnapshotSummary> write(const std::string& to) {
    VMSNAP_RETURN_IF_ERROR(encode_states());
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector provenance, make_provenance());
    CopyPlan plan;
    plan.arch = kArchX86_64;
    plan.segments = map_of(parts_);
    VMSNAP_ASSIGN_OR_RETURN(plan.manifest.meta, encode(manifest_));
    VMSNAP_ASSIGN_OR_RETURN(plan.memory_map.meta, encode(plan.segments));
    plan.source = [this](std::uint32_t segment) -> Result<std::unique_ptr<ExtentSource>> {
      const Part& part = parts_[segment];
      VMSNAP_RETURN_IF_ERROR(FileSource::check(part.segment.size));
      return std::make_unique<FileSource>(*part.file, part.offset, part.segment.size, memory_, segment);
    };
    for (const DeviceEntry& device : manifest_.devices) {
      plan.added.push_back(
          {newest_of(types_, device.type), device.instance, kChunkCritical, states_[device.instance]});
    }
    plan.added.push_back({&annotations_.front(), 0, kChunkSafeToCopy, provenance});
    SnapshotWriteOptions write_options;
    write_options.pass = options_.pass;
    VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
    FileSink sink(target.file());
    VMSNAP_ASSIGN_OR_RETURN(SnapshotSummary summary, write_copy(sink, plan, write_options));
    VMSNAP_RETURN_IF_ERROR(reopen(target.file()));
    VMSNAP_RETURN_IF_ERROR(target.publish());
    return summary;
  }

  [[nodiscard]] const std::vector<DeviceEntry>& devices() const { return manifest_.devices; }

  /// Puts the states of all devices, and of bhyve_private behind them, into the manifest.
  Result<void> encode_states() {
    VMSNAP_ASSIGN_OR_RETURN(StateTree * tree, read_.machine.device(kPrivatePath, kPrivateType));
    VMSNAP_RETURN_IF_ERROR(to_tree(read_.private_state, *tree));
    manifest_.producer_name = options_.tool;
    manifest_.producer_version = options_.tool_version;
    manifest_.created = time_of(set_);
    manifest_.release_level = current_level();
    manifest_.vcpu_count = read_.machine.vcpus();
    SlotNames names;
    for (const auto& device : read_.machine.devices()) {
      DeviceEntry entry;
      entry.instance = static_cast<std::uint32_t>(manifest_.devices.size());
      entry.path = device->path;
      entry.type = device->type;
      entry.version = newest_of(types_, device->type)->version;
      entry.readable_since = entry.version;
      VMSNAP_ASSIGN_OR_RETURN(entry.slots, slots_of(*device, read_.private_state, names));
      auto state = device->state.encode();
      if (!state) return std::move(std::move(state).error().in_device(device->path));
      states_.push_back(std::move(*state));
      manifest_.devices.push_back(std::move(entry));
    }
    return validate(manifest_);
  }

 private:
  Result<ByteVector> make_provenance() const {
    Migration migration;
    migration.tool = options_.tool;
    migration.tool_version = options_.tool_version;
    migration.time = options_.time;
    migration.from_level = current_level();
    migration.to_level = current_level();
    VMSNAP_ASSIGN_OR_RETURN(migration.source_root, digest_of(set_));
    for (const NotInFile& note : read_.report.not_in_file) {
      const std::string sentence =
          fmt::format("a snapshot of bhyve does not hold it; {}: {}", note.instead, note.consequence);
      migration.losses.push_back(
          {note.device, path_like(note.field), std::string(cut_text(sentence, kMaxReasonLength))});
    }
    return encode(std::vector<Migration>{std::move(migration)});
  }

  /// Words made a path, which is what the history has.
  static std::string path_like(std::string_view words) {
    std::string path(words.substr(0, kMaxPathLength));
    for (char& c : path) {
      const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '_' || c == '.' || c == '[' || c == ']';
      if (!is_plain) c = '_';
    }
    return path.empty() ? "state" : path;
  }

  const LegacySet& set_;
  ReadSet& read_;
  const OverlaidMemory& memory_;
  std::vector<Part> parts_;
  const FromBhyveOptions& options_;
  std::vector<ChunkType> types_;
  std::vector<ChunkType> annotations_;
  Manifest manifest_;
  std::vector<ByteVector> states_;
};

}  // namespace

Result<FromBhyve> from_bhyve(const LegacySet& set, const ChosenLayouts& layouts, const std::string& to,
                             const FromBhyveOptions& options) {
  VMSNAP_RETURN_IF_ERROR(check_memory(set));
  std::vector<Part> parts = memory_parts(set);
  OverlaidMemory memory = overlaid(parts);
  VMSNAP_ASSIGN_OR_RETURN(ReadSet read, read_set(set, layouts, memory, options.places));
  if (read.pixels) add_pixels(set, *read.pixels, parts);
  FromBhyve result;
  Writer writer(set, read, memory, std::move(parts), options);
  if (to.empty()) {
    VMSNAP_RETURN_IF_ERROR(writer.encode_states());
  } else {
    VMSNAP_ASSIGN_OR_RETURN(result.written, writer.write(to));
  }
  result.devices = writer.devices();
  result.report = std::move(read.report);
  return result;
}

}  // namespace vmsnap::compat::bhyve
