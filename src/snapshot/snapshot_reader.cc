// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap {
namespace {

constexpr std::uint32_t kNoChunk = ~std::uint32_t{0};

Error locate(Error error, const ChunkReader& container, const ChunkRecord& chunk, std::uint64_t offset) {
  error.in_file(container.file().name()).at_offset(offset).in_chunk(chunk.name());
  return error;
}

Error corrupt(const ChunkReader& container, const ChunkRecord& chunk, std::string message) {
  return locate(Error(ErrorKind::kCorrupt, std::move(message)), container, chunk, chunk.offset);
}

Error no_such(std::string_view what, std::uint32_t number) {
  return {ErrorKind::kUsage, fmt::format("the snapshot has no {} {}", what, number)};
}

bool has_identifier(ByteView state, FourCc type) {
  return state.size() >= 8 && load_le<std::uint32_t>(state, 4) == type.value();
}

}  // namespace

Result<SnapshotReader> SnapshotReader::open(const std::string& path, const SnapshotReadOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(File file, File::open_for_reading(path));
  return open(std::move(file), options);
}

Result<SnapshotReader> SnapshotReader::open(File file, const SnapshotReadOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(ChunkReader container, ChunkReader::open(std::move(file)));
  SnapshotReader reader(std::move(container));
  VMSNAP_RETURN_IF_ERROR(reader.load_schemas());
  VMSNAP_RETURN_IF_ERROR(reader.load_tables());
  VMSNAP_RETURN_IF_ERROR(reader.match_devices());
  VMSNAP_RETURN_IF_ERROR(reader.match_segments());
  if (options.level >= ReadLevel::kMeta) VMSNAP_RETURN_IF_ERROR(reader.check_metas());
  if (options.level >= ReadLevel::kFull) VMSNAP_RETURN_IF_ERROR(reader.check_bodies(options.pass));
  if (!options.allow_unknown_critical) VMSNAP_RETURN_IF_ERROR(reader.check_known());
  return reader;
}

Result<void> SnapshotReader::load_schemas() {
  for (const ChunkRecord& chunk : container_.chunks()) {
    if (chunk.header.type != kChunkSchema) continue;
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
    auto schema = decode_schema_meta(meta);
    if (!schema) return locate(std::move(schema).error(), container_, chunk, chunk.meta_offset());
    if (schema->id != chunk.header.instance) {
      return corrupt(
          container_, chunk,
          fmt::format("the meta has schema id {}, the chunk header {}", schema->id, chunk.header.instance));
    }
    schema->chunk = chunk.header.sequence;
    VMSNAP_RETURN_IF_ERROR(schema_body(*schema));
    schema_by_id_.emplace(schema->id, schemas_.size());
    schemas_.push_back(std::move(*schema));
  }
  return check_schemas();
}

Result<void> SnapshotReader::check_schemas() const {
  const auto of_schemas = std::count_if(schemas_.begin(), schemas_.end(), [](const EmbeddedSchema& schema) {
    return schema.chunk_type == kChunkSchema;
  });
  if (of_schemas != 1) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("{} embedded schemas describe SCHM chunks, there must be one", of_schemas))
        .in_file(container_.file().name());
  }
  for (const ChunkRecord& chunk : container_.chunks()) {
    const EmbeddedSchema* schema = schema_of(chunk);
    if (schema->chunk_type != chunk.header.type) {
      return corrupt(container_, chunk,
                     fmt::format("the chunk refers to schema {}, which describes {} chunks", schema->id,
                                 schema->chunk_type.to_string()));
    }
  }
  const std::vector<ChunkType> own_types = container_chunk_types();
  for (const EmbeddedSchema& schema : schemas_) {
    const auto own = std::find_if(own_types.begin(), own_types.end(),
                                  [&](const ChunkType& type) { return type.type == schema.chunk_type; });
    if (own == own_types.end() || own->version.major == schema.version.major) continue;
    const ChunkRecord& chunk = container_.chunks()[schema.chunk];
    return locate(
        Error(ErrorKind::kUnsupported,
              fmt::format("the schema of {} chunks has version {}, this build reads version {}; "
                          "use a matching version",
                          schema.chunk_type.to_string(), to_string(schema.version), to_string(own->version))),
        container_, chunk, chunk.offset);
  }
  return {};
}

Result<void> SnapshotReader::load_tables() {
  for (const ChunkRecord& chunk : container_.chunks()) {
    if (chunk.header.type != kChunkManifest && chunk.header.type != kChunkMemoryMap) continue;
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
    if (chunk.header.type == kChunkManifest) {
      auto manifest = decode_manifest(meta);
      if (!manifest) return locate(std::move(manifest).error(), container_, chunk, chunk.meta_offset());
      manifest_ = std::move(*manifest);
    } else {
      auto map = decode_memory_map(meta);
      if (!map) return locate(std::move(map).error(), container_, chunk, chunk.meta_offset());
      memory_map_ = std::move(*map);
    }
  }
  return {};
}

Result<void> SnapshotReader::match_devices() {
  std::set<std::string_view> types;
  for (const DeviceEntry& device : manifest_.devices) types.insert(device.type);
  device_chunks_.assign(manifest_.devices.size(), kNoChunk);
  for (const ChunkRecord& chunk : container_.chunks()) {
    if (is_container_chunk(chunk.header.type)) continue;
    const EmbeddedSchema& schema = *schema_of(chunk);
    if (types.count(schema.name) == 0) continue;  // not the state of a device; see check_known()
    const std::uint32_t instance = chunk.header.instance;
    if (instance >= manifest_.devices.size() || manifest_.devices[instance].type != schema.name) {
      return corrupt(container_, chunk,
                     fmt::format("the manifest has no {} with instance {}", schema.name, instance));
    }
    const DeviceEntry& device = manifest_.devices[instance];
    const auto in_device = [&](Error error) { return std::move(error.in_device(device.path)); };
    if (device_chunks_[instance] != kNoChunk) {
      return in_device(corrupt(container_, chunk, "two chunks hold the state of this device"));
    }
    if (schema.version != device.version) {
      return in_device(corrupt(container_, chunk,
                               fmt::format("the manifest gives the state version {}, its schema version {}",
                                           to_string(device.version), to_string(schema.version))));
    }
    if (chunk.header.body_size != 0)
      return in_device(corrupt(container_, chunk, "the state of a device has no body"));
    if (!chunk.header.critical())
      return in_device(
          corrupt(container_, chunk, "the state of a device has the flag CRITICAL, this has not"));
    device_chunks_[instance] = chunk.header.sequence;
  }
  for (const DeviceEntry& device : manifest_.devices) {
    if (device_chunks_[device.instance] != kNoChunk) continue;
    return Error(ErrorKind::kCorrupt, fmt::format("no chunk holds the state of this {}", device.type))
        .in_file(container_.file().name())
        .in_device(device.path);
  }
  return {};
}

Result<void> SnapshotReader::match_segments() {
  segment_chunks_.assign(memory_map_.segments.size(), {});
  for (const ChunkRecord& chunk : container_.chunks()) {
    if (!is_ram_chunk(chunk.header.type)) continue;
    const std::uint32_t id = chunk.header.instance;
    if (id >= segment_chunks_.size()) {
      return corrupt(container_, chunk, fmt::format("the memory map has no segment {}", id));
    }
    std::vector<const ChunkRecord*>& found = segment_chunks_[id];
    const bool flat = chunk.header.type == kChunkFlatRam;
    if (!found.empty() && (flat || found.front()->header.type == kChunkFlatRam)) {
      return corrupt(container_, chunk, fmt::format("two chunks hold memory segment {}", id));
    }
    if (flat && chunk.header.body_size != memory_map_.segments[id].size) {
      return corrupt(container_, chunk,
                     fmt::format("the body has {} bytes, the memory segment {}", chunk.header.body_size,
                                 memory_map_.segments[id].size));
    }
    found.push_back(&chunk);
  }
  for (const MemorySegment& segment : memory_map_.segments) {
    if (!segment_chunks_[segment.id].empty()) continue;
    return Error(ErrorKind::kCorrupt, fmt::format("no chunk holds memory segment \"{}\"", segment.name))
        .in_file(container_.file().name());
  }
  return {};
}

Result<void> SnapshotReader::check_metas() const {
  VMSNAP_RETURN_IF_ERROR(container_.check_metas());
  for (const DeviceEntry& device : manifest_.devices) VMSNAP_RETURN_IF_ERROR(read_state(device.instance));
  for (const MemorySegment& segment : memory_map_.segments) VMSNAP_RETURN_IF_ERROR(this->segment(segment.id));
  return {};
}

Result<void> SnapshotReader::check_bodies(const PassOptions& pass) const {
  for (const ChunkRecord& chunk : container_.chunks()) {
    VMSNAP_RETURN_IF_ERROR(container_.check_padding(chunk));
    if (!chunk.header.has_leaves()) VMSNAP_RETURN_IF_ERROR(container_.check_body(chunk));
  }
  for (const MemorySegment& segment : memory_map_.segments) {
    VMSNAP_ASSIGN_OR_RETURN(const SegmentReader reader, this->segment(segment.id));
    VMSNAP_RETURN_IF_ERROR(verify_segment(reader, {}, pass));
  }
  return {};
}

Result<void> SnapshotReader::check_known() const {
  if (header().arch != kArchX86_64) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the guest is of architecture {}, this build restores x86-64 ({}) only",
                             header().arch, kArchX86_64))
        .in_file(container_.file().name());
  }
  for (const DeviceEntry& device : manifest_.devices) {
    for (const Slot& slot : device.slots) {
      if (slot.kind <= SlotKind::kFirmwareImage) continue;
      return Error(ErrorKind::kUnsupported,
                   fmt::format("this build does not know slots of kind {}, as \"{}\" is; use "
                               "a newer version",
                               static_cast<unsigned>(slot.kind), slot.name))
          .in_file(container_.file().name())
          .in_device(device.path);
    }
  }
  for (const MemorySegment& segment : memory_map_.segments) {
    if (segment.kind <= SegmentKind::kDeviceMemory) continue;
    return Error(ErrorKind::kUnsupported,
                 fmt::format("this build does not know memory of kind {}, as \"{}\" is; use a "
                             "newer version",
                             static_cast<unsigned>(segment.kind), segment.name))
        .in_file(container_.file().name());
  }
  for (const ChunkRecord* chunk : unknown_chunks()) {
    if (!chunk->header.critical()) continue;
    return locate(
        Error(ErrorKind::kUnsupported,
              fmt::format("this build does not know what the critical chunk {} (\"{}\") means; use a newer "
                          "version",
                          chunk->header.type.to_string(), schema_of(*chunk)->name)),
        container_, *chunk, chunk->offset);
  }
  return {};
}

const EmbeddedSchema* SnapshotReader::find_schema(std::uint32_t id) const {
  const auto found = schema_by_id_.find(id);
  return found == schema_by_id_.end() ? nullptr : &schemas_[found->second];
}

const EmbeddedSchema* SnapshotReader::schema_of(const ChunkRecord& chunk) const {
  if (chunk.header.type != kChunkSchema) return find_schema(chunk.header.schema_id);
  return &*std::find_if(schemas_.begin(), schemas_.end(),
                        [](const EmbeddedSchema& schema) { return schema.chunk_type == kChunkSchema; });
}

Result<ByteVector> SnapshotReader::schema_body(const EmbeddedSchema& schema) const {
  const ChunkRecord& chunk = container_.chunks()[schema.chunk];
  VMSNAP_ASSIGN_OR_RETURN(ByteVector body, container_.body(chunk, kMaxSchemaSize));
  if (xxh3_128(body) != schema.content_hash) {
    return corrupt(container_, chunk, "the content hash in the meta is not that of the schema");
  }
  return body;
}

const ChunkRecord& SnapshotReader::device_chunk(std::uint32_t instance) const {
  return container_.chunks()[device_chunks_[instance]];
}

Result<ByteVector> SnapshotReader::read_state(std::uint32_t instance) const {
  const ChunkRecord& chunk = device_chunk(instance);
  const std::string& path = manifest_.devices[instance].path;
  auto state = container_.meta(chunk);
  if (!state) return std::move(std::move(state).error().in_device(path));
  if (!has_identifier(*state, chunk.header.type)) {
    return std::move(
        corrupt(container_, chunk, "the state is not a FlatBuffer of the chunk's type").in_device(path));
  }
  return state;
}

Result<ByteVector> SnapshotReader::device_state(std::uint32_t instance) {
  if (instance >= device_chunks_.size()) return no_such("device with instance", instance);
  auto state = read_state(instance);
  if (state) mark_consumed(device_chunk(instance));
  return state;
}

Result<SegmentReader> SnapshotReader::segment(std::uint32_t id) const {
  if (id >= segment_chunks_.size()) return no_such("memory segment", id);
  return SegmentReader::open(container_, id, memory_map_.segments[id].size, segment_chunks_[id]);
}

Result<SegmentReader> SnapshotReader::take_segment(std::uint32_t id) {
  auto reader = segment(id);
  if (!reader) return reader;
  for (const ChunkRecord* chunk : segment_chunks_[id]) mark_consumed(*chunk);
  return reader;
}

std::vector<const ChunkRecord*> SnapshotReader::unconsumed() const {
  std::vector<const ChunkRecord*> left;
  for (const ChunkRecord& chunk : container_.chunks()) {
    const bool is_state = !is_container_chunk(chunk.header.type) || is_ram_chunk(chunk.header.type);
    if (is_state && chunk.header.critical() && consumed_.count(chunk.header.sequence) == 0)
      left.push_back(&chunk);
  }
  return left;
}

std::vector<const ChunkRecord*> SnapshotReader::unknown_chunks() const {
  std::set<std::uint32_t> known(device_chunks_.begin(), device_chunks_.end());
  std::vector<const ChunkRecord*> unknown;
  for (const ChunkRecord& chunk : container_.chunks()) {
    if (!is_container_chunk(chunk.header.type) && known.count(chunk.header.sequence) == 0)
      unknown.push_back(&chunk);
  }
  return unknown;
}

}  // namespace vmsnap
