// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "container/flatbuffer.h"

namespace vmsnap {
namespace {

constexpr std::uint32_t kNoChunk = ~std::uint32_t{0};

Error locate(Error error, const ChunkRecord& chunk, std::uint64_t offset) {
  return std::move(error.at_offset(offset).in_chunk(chunk.name()));
}

Error corrupt(const ChunkRecord& chunk, std::string message) {
  return locate(Error(ErrorKind::kCorrupt, std::move(message)), chunk, chunk.offset);
}

}  // namespace

Result<void> SnapshotDirectory::add_schema(const ChunkRecord& chunk, ByteView meta, ByteView body) {
  auto schema = decode_schema_meta(meta);
  if (!schema) return locate(std::move(schema).error(), chunk, chunk.meta_offset());
  if (schema->id != chunk.header.instance) {
    return corrupt(chunk, fmt::format("the meta has schema id {}, the chunk header {}", schema->id,
                                      chunk.header.instance));
  }
  if (xxh3_128(body) != schema->content_hash) {
    return corrupt(chunk, "the content hash in the meta is not that of the schema");
  }
  schema->chunk = chunk.header.sequence;
  schema_by_id_.emplace(schema->id, schemas_.size());
  schemas_.push_back(std::move(*schema));
  return {};
}

Result<void> SnapshotDirectory::check_type(const ChunkRecord& chunk) const {
  if (chunk.header.type == kChunkSchema) return {};
  const EmbeddedSchema* schema = schema_of(chunk);
  if (schema->chunk_type == chunk.header.type) return {};
  return corrupt(chunk, fmt::format("the chunk refers to schema {}, which describes {} chunks", schema->id,
                                    schema->chunk_type.to_string()));
}

Result<void> SnapshotDirectory::check_version(const EmbeddedSchema& schema, const ChunkRecord& chunk) const {
  const std::vector<ChunkType> own_types = container_chunk_types();
  const auto own = std::find_if(own_types.begin(), own_types.end(),
                                [&](const ChunkType& type) { return type.type == schema.chunk_type; });
  if (own == own_types.end() || own->version.major == schema.version.major) return {};
  return locate(
      Error(ErrorKind::kUnsupported,
            fmt::format("the schema of {} chunks has version {}, this build reads version {}; "
                        "use a matching version",
                        schema.chunk_type.to_string(), to_string(schema.version), to_string(own->version))),
      chunk, chunk.offset);
}

Result<void> SnapshotDirectory::check_schemas() const {
  const auto of_schemas = std::count_if(schemas_.begin(), schemas_.end(), [](const EmbeddedSchema& schema) {
    return schema.chunk_type == kChunkSchema;
  });
  if (of_schemas == 1) return {};
  return Error(ErrorKind::kCorrupt,
               fmt::format("{} embedded schemas describe SCHM chunks, there must be one", of_schemas));
}

Result<void> SnapshotDirectory::set_manifest(const ChunkRecord& chunk, ByteView meta) {
  auto manifest = decode_manifest(meta);
  if (!manifest) return locate(std::move(manifest).error(), chunk, chunk.meta_offset());
  manifest_ = std::move(*manifest);
  for (const DeviceEntry& device : manifest_.devices) device_types_.insert(device.type);
  device_chunks_.assign(manifest_.devices.size(), kNoChunk);
  return {};
}

Result<void> SnapshotDirectory::set_memory_map(const ChunkRecord& chunk, ByteView meta) {
  auto map = decode_memory_map(meta);
  if (!map) return locate(std::move(map).error(), chunk, chunk.meta_offset());
  memory_map_ = std::move(*map);
  segment_chunks_.assign(memory_map_.segments.size(), {});
  return {};
}

Result<void> SnapshotDirectory::set_lost(const ChunkRecord& chunk, ByteView meta) {
  auto losses = decode_lost(meta, memory_map_);
  if (!losses) return locate(std::move(losses).error(), chunk, chunk.meta_offset());
  losses_ = std::move(*losses);
  return {};
}

Result<void> SnapshotDirectory::add_chunk(const ChunkRecord& chunk) {
  if (is_ram_chunk(chunk.header.type)) return add_ram(chunk);
  if (is_container_chunk(chunk.header.type)) return {};
  if (device_types_.count(schema_of(chunk)->name) != 0) return add_state(chunk);
  unknown_chunks_.push_back(chunk.header.sequence);
  return {};
}

Result<void> SnapshotDirectory::add_state(const ChunkRecord& chunk) {
  const EmbeddedSchema& schema = *schema_of(chunk);
  const std::uint32_t instance = chunk.header.instance;
  if (instance >= manifest_.devices.size() || manifest_.devices[instance].type != schema.name) {
    return corrupt(chunk, fmt::format("the manifest has no {} with instance {}", schema.name, instance));
  }
  const DeviceEntry& device = manifest_.devices[instance];
  const auto refuse = [&](std::string message) {
    return std::move(corrupt(chunk, std::move(message)).in_device(device.path));
  };
  if (device_chunks_[instance] != kNoChunk) return refuse("two chunks hold the state of this device");
  if (schema.version != device.version) {
    return refuse(fmt::format("the manifest gives the state version {}, its schema version {}",
                              to_string(device.version), to_string(schema.version)));
  }
  if (chunk.header.body_size != 0) return refuse("the state of a device has no body");
  if (!chunk.header.critical()) return refuse("the state of a device has the flag CRITICAL, this has not");
  device_chunks_[instance] = chunk.header.sequence;
  return {};
}

Result<void> SnapshotDirectory::add_ram(const ChunkRecord& chunk) {
  const std::uint32_t id = chunk.header.instance;
  if (id >= segment_chunks_.size()) {
    return corrupt(chunk, fmt::format("the memory map has no segment {}", id));
  }
  const bool flat = chunk.header.type == kChunkFlatRam;
  std::vector<std::uint32_t>& found = segment_chunks_[id];
  if (!found.empty() && (flat || flat_segments_.count(id) != 0)) {
    return corrupt(chunk, fmt::format("two chunks hold memory segment {}", id));
  }
  if (flat && chunk.header.body_size != memory_map_.segments[id].size) {
    return corrupt(chunk, fmt::format("the body has {} bytes, the memory segment {}", chunk.header.body_size,
                                      memory_map_.segments[id].size));
  }
  if (flat) flat_segments_.insert(id);
  found.push_back(chunk.header.sequence);
  return {};
}

Result<void> SnapshotDirectory::check_complete() const {
  for (const DeviceEntry& device : manifest_.devices) {
    if (device_chunks_[device.instance] != kNoChunk) continue;
    return Error(ErrorKind::kCorrupt, fmt::format("no chunk holds the state of this {}", device.type))
        .in_device(device.path);
  }
  for (const MemorySegment& segment : memory_map_.segments) {
    if (!segment_chunks_[segment.id].empty()) continue;
    return Error(ErrorKind::kCorrupt, fmt::format("no chunk holds memory segment \"{}\"", segment.name));
  }
  return {};
}

Result<void> SnapshotDirectory::check_recovered(const FileHeader& header, bool allowed) const {
  if (!header.has_incompatible(kFeatureRecovered)) return {};
  if (losses_.empty()) {
    return Error(
        ErrorKind::kUnsupported,
        "the snapshot uses the feature \"recovered\" in a way that this build does not know: it does "
        "not say what it lacks; use a newer version");
  }
  if (allowed) return {};
  return Error(
      ErrorKind::kUnsupported,
      fmt::format("the snapshot was recovered from a damaged one and lacks {} of its parts, the first "
                  "of them {}; snaptool check lists them all, and a restore must be told to go ahead "
                  "without them",
                  losses_.size(), to_string(losses_.front(), memory_map_)));
}

Result<void> SnapshotDirectory::check_known(std::uint32_t arch, std::span<const ChunkRecord> chunks) const {
  if (arch != kArchX86_64) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the guest is of architecture {}, this build restores x86-64 ({}) only", arch,
                             kArchX86_64));
  }
  for (const DeviceEntry& device : manifest_.devices) {
    for (const Slot& slot : device.slots) {
      if (slot.kind <= SlotKind::kFirmwareImage) continue;
      return Error(ErrorKind::kUnsupported,
                   fmt::format("this build does not know slots of kind {}, as \"{}\" is; use "
                               "a newer version",
                               static_cast<unsigned>(slot.kind), slot.name))
          .in_device(device.path);
    }
  }
  for (const MemorySegment& segment : memory_map_.segments) {
    if (segment.kind <= SegmentKind::kDeviceMemory) continue;
    return Error(ErrorKind::kUnsupported,
                 fmt::format("this build does not know memory of kind {}, as \"{}\" is; use a "
                             "newer version",
                             static_cast<unsigned>(segment.kind), segment.name));
  }
  for (const std::uint32_t sequence : unknown_chunks_) {
    const ChunkRecord& chunk = chunks[sequence];
    if (!chunk.header.critical()) continue;
    return locate(
        Error(ErrorKind::kUnsupported,
              fmt::format("this build does not know what the critical chunk {} (\"{}\") means; use a newer "
                          "version",
                          chunk.header.type.to_string(), schema_of(chunk)->name)),
        chunk, chunk.offset);
  }
  return {};
}

const EmbeddedSchema* SnapshotDirectory::find_schema(std::uint32_t id) const {
  const auto found = schema_by_id_.find(id);
  return found == schema_by_id_.end() ? nullptr : &schemas_[found->second];
}

const EmbeddedSchema* SnapshotDirectory::schema_of(const ChunkRecord& chunk) const {
  if (chunk.header.type != kChunkSchema) return find_schema(chunk.header.schema_id);
  const auto found = std::find_if(schemas_.begin(), schemas_.end(), [](const EmbeddedSchema& schema) {
    return schema.chunk_type == kChunkSchema;
  });
  return found == schemas_.end() ? nullptr : &*found;
}

Result<void> SnapshotDirectory::check_state(const ChunkRecord& chunk, ByteView meta) const {
  if (has_identifier(meta, chunk.header.type)) return {};
  return std::move(corrupt(chunk, "the state is not a FlatBuffer of the chunk's type")
                       .in_device(manifest_.devices[chunk.header.instance].path));
}

}  // namespace vmsnap
