// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_reader.h"

#include <fmt/format.h>

namespace vmsnap {
namespace {

Error no_such(std::string_view what, std::uint32_t number) {
  return {ErrorKind::kUsage, fmt::format("the snapshot has no {} {}", what, number)};
}

}  // namespace

Result<SnapshotReader> SnapshotReader::open(const std::string& path, const SnapshotReadOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(File file, File::open_for_reading(path));
  return open(std::move(file), options);
}

Result<SnapshotReader> SnapshotReader::open(File file, const SnapshotReadOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(ChunkReader container, ChunkReader::open(std::move(file)));
  SnapshotReader reader(std::move(container));
  const auto in_file = [&](Error error) { return std::move(error.in_file(reader.container_.file().name())); };
  if (auto loaded = reader.load_directory(); !loaded) return in_file(std::move(loaded).error());
  if (options.level >= ReadLevel::kMeta) VMSNAP_RETURN_IF_ERROR(reader.check_metas());
  if (options.level >= ReadLevel::kFull) VMSNAP_RETURN_IF_ERROR(reader.check_bodies(options.pass));
  auto whole = reader.directory_.check_recovered(reader.header(), options.allow_recovered);
  if (!whole) return in_file(std::move(whole).error());
  if (!options.allow_unknown_critical) {
    auto known = reader.directory_.check_known(reader.header().arch, reader.container_.chunks());
    if (!known) return in_file(std::move(known).error());
  }
  return reader;
}

Result<void> SnapshotReader::load_directory() {
  const std::span<const ChunkRecord> chunks = container_.chunks();
  for (const ChunkRecord& chunk : chunks) {
    if (chunk.header.type != kChunkSchema) continue;
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector body, container_.body(chunk, kMaxSchemaSize));
    VMSNAP_RETURN_IF_ERROR(directory_.add_schema(chunk, meta, body));
  }
  VMSNAP_RETURN_IF_ERROR(directory_.check_schemas());
  for (const ChunkRecord& chunk : chunks) VMSNAP_RETURN_IF_ERROR(directory_.check_type(chunk));
  for (const EmbeddedSchema& schema : schemas()) {
    VMSNAP_RETURN_IF_ERROR(directory_.check_version(schema, chunks[schema.chunk]));
  }
  for (const ChunkRecord& chunk : chunks) {
    if (chunk.header.type == kChunkManifest) {
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
      VMSNAP_RETURN_IF_ERROR(directory_.set_manifest(chunk, meta));
    } else if (chunk.header.type == kChunkMemoryMap) {
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
      VMSNAP_RETURN_IF_ERROR(directory_.set_memory_map(chunk, meta));
    } else if (chunk.header.type == kChunkLost) {
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, container_.meta(chunk));
      VMSNAP_RETURN_IF_ERROR(directory_.set_lost(chunk, meta));
    } else {
      VMSNAP_RETURN_IF_ERROR(directory_.add_chunk(chunk));
    }
  }
  VMSNAP_RETURN_IF_ERROR(directory_.check_complete());
  for (const MemorySegment& segment : memory_map().segments) {
    std::vector<const ChunkRecord*>& found = segment_chunks_.emplace_back();
    for (const std::uint32_t sequence : directory_.segment_chunks(segment.id))
      found.push_back(&chunks[sequence]);
  }
  return {};
}

Result<void> SnapshotReader::check_metas() {
  // Those of memory are large: what is needed of them is taken out as they go by.
  std::vector<std::shared_ptr<SegmentMetas>> metas;
  std::vector<Result<void>> sound(memory_map().segments.size());
  for (const MemorySegment& segment : memory_map().segments) {
    metas.push_back(std::make_shared<SegmentMetas>(segment.id, segment.size));
  }
  VMSNAP_RETURN_IF_ERROR(container_.check_metas([&](const ChunkRecord& chunk, ByteView meta) {
    const std::uint32_t id = chunk.header.instance;
    if (is_ram_chunk(chunk.header.type) && sound[id]) sound[id] = metas[id]->add(chunk, meta);
  }));
  for (const DeviceEntry& device : manifest().devices) VMSNAP_RETURN_IF_ERROR(read_state(device.instance));
  for (std::size_t id = 0; id < metas.size(); ++id) {
    if (sound[id]) sound[id] = metas[id]->check_complete();
    if (!sound[id]) return std::move(std::move(sound[id]).error().in_file(container_.file().name()));
  }
  segment_metas_.assign(metas.begin(), metas.end());
  return {};
}

Result<void> SnapshotReader::check_bodies(const PassOptions& pass) const {
  for (const ChunkRecord& chunk : container_.chunks()) {
    VMSNAP_RETURN_IF_ERROR(container_.check_padding(chunk));
    if (!chunk.header.has_leaves()) VMSNAP_RETURN_IF_ERROR(container_.check_body(chunk));
  }
  for (const MemorySegment& segment : memory_map().segments) {
    VMSNAP_ASSIGN_OR_RETURN(const SegmentReader reader, this->segment(segment.id));
    VMSNAP_RETURN_IF_ERROR(verify_segment(reader, {}, pass));
  }
  return {};
}

Result<ByteVector> SnapshotReader::schema_body(const EmbeddedSchema& schema) const {
  return container_.body(container_.chunks()[schema.chunk], kMaxSchemaSize);
}

Result<ByteVector> SnapshotReader::read_state(std::uint32_t instance) const {
  const ChunkRecord& chunk = device_chunk(instance);
  auto state = container_.meta(chunk);
  if (!state) return std::move(std::move(state).error().in_device(manifest().devices[instance].path));
  if (auto sound = directory_.check_state(chunk, *state); !sound) {
    return std::move(std::move(sound).error().in_file(container_.file().name()));
  }
  return state;
}

Result<ByteVector> SnapshotReader::device_state(std::uint32_t instance) {
  if (instance >= manifest().devices.size()) return no_such("device with instance", instance);
  auto state = read_state(instance);
  if (state) mark_consumed(device_chunk(instance));
  return state;
}

Result<SegmentReader> SnapshotReader::segment(std::uint32_t id) const {
  if (id >= segment_chunks_.size()) return no_such("memory segment", id);
  if (id < segment_metas_.size()) return SegmentReader(container_.file(), segment_metas_[id]);
  return SegmentReader::open(container_.file(), id, memory_map().segments[id].size, segment_chunks_[id]);
}

Result<SegmentReader> SnapshotReader::take_segment(std::uint32_t id) {
  auto reader = segment(id);
  if (!reader) return reader;
  for (const ChunkRecord* chunk : segment_chunks_[id]) mark_consumed(*chunk);
  return reader;
}

Result<Digest128> SnapshotReader::memory_digest() const {
  std::vector<SegmentReader> segments;
  for (const MemorySegment& segment : memory_map().segments) {
    VMSNAP_ASSIGN_OR_RETURN(SegmentReader reader, this->segment(segment.id));
    segments.push_back(std::move(reader));
  }
  return vmsnap::memory_digest(segments);
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
  std::vector<const ChunkRecord*> unknown;
  for (const std::uint32_t sequence : directory_.unknown_chunks())
    unknown.push_back(&container_.chunks()[sequence]);
  return unknown;
}

}  // namespace vmsnap
