// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/atomic_file.h"
#include "container/chunk_writer.h"
#include "container/flatbuffer.h"
#include "snapshot/encoding_rules.h"
#include "snapshot/schema_meta.h"

namespace vmsnap {
namespace {

Error usage(std::string message) {
  return {ErrorKind::kUsage, std::move(message)};
}

/// The type of each device, in order of instance.
Result<std::vector<const ChunkType*>> find_types(const Manifest& manifest, std::span<const ChunkType> types) {
  std::vector<const ChunkType*> found;
  for (const DeviceEntry& device : manifest.devices) {
    const auto match = std::find_if(types.begin(), types.end(), [&](const ChunkType& type) {
      return type.name == device.type && type.version == device.version;
    });
    if (match == types.end()) {
      return std::move(usage(fmt::format("this program does not write {} chunks of version {}", device.type,
                                         to_string(device.version)))
                           .in_device(device.path));
    }
    if (is_container_chunk(match->type) || !match->type.is_printable() || match->schema.empty() ||
        match->schema.size() > kMaxSchemaSize) {
      return std::move(usage(fmt::format("the chunk type {} is not one for a device", device.type))
                           .in_device(device.path));
    }
    found.push_back(&*match);
  }
  return found;
}

Result<void> check_states(const SnapshotContents& contents, std::span<const ChunkType* const> types) {
  const Manifest& manifest = contents.manifest;
  if (contents.device_states.size() != manifest.devices.size()) {
    return usage(fmt::format("the manifest has {} devices, but {} states were given", manifest.devices.size(),
                             contents.device_states.size()));
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    const ByteVector& state = contents.device_states[i];
    if (!has_identifier(state, types[i]->type)) {
      return std::move(
          usage(fmt::format("the state given is not a {} FlatBuffer", types[i]->type.to_string()))
              .in_device(manifest.devices[i].path));
    }
    if (state.size() > kMaxMetaSize) {
      return std::move(
          Error(ErrorKind::kLimitExceeded,
                fmt::format("the state of {} bytes is larger than the 16 MiB that the format allows",
                            state.size()))
              .in_device(manifest.devices[i].path));
    }
  }
  return {};
}

Result<void> check_segments(const SnapshotContents& contents) {
  const std::vector<MemorySegment>& segments = contents.memory_map.segments;
  if (contents.segments.size() != segments.size()) {
    return usage(fmt::format("the memory map has {} segments, but {} were given", segments.size(),
                             contents.segments.size()));
  }
  for (const MemorySegment& segment : segments) {
    const std::uint64_t given = contents.segments[segment.id].bytes.size();
    if (given != segment.size) {
      return usage(fmt::format("memory segment \"{}\" has {} bytes in the memory map, but {} were given",
                               segment.name, segment.size, given));
    }
    VMSNAP_RETURN_IF_ERROR(MemorySource::check(contents.segments[segment.id]));
  }
  return {};
}

/// Writes SCHM chunks and hands out their ids.
class SchemaWriter {
 public:
  explicit SchemaWriter(ChunkWriter& writer) : writer_(writer) {}

  Result<std::uint32_t> add(const ChunkType& type) {
    for (const EmbeddedSchema& known : written_) {
      if (known.chunk_type == type.type && known.name == type.name && known.version == type.version)
        return known.id;
    }
    EmbeddedSchema schema = describe(type, static_cast<std::uint32_t>(written_.size() + 1));
    VMSNAP_RETURN_IF_ERROR(writer_.append({kChunkSchema, 0, schema.id}, encode(schema), type.schema));
    written_.push_back(std::move(schema));
    return written_.back().id;
  }

  /// The id of a container schema that add() has seen.
  [[nodiscard]] std::uint32_t id_of(FourCc type) const {
    const auto found = std::find_if(written_.begin(), written_.end(),
                                    [&](const EmbeddedSchema& schema) { return schema.chunk_type == type; });
    return found == written_.end() ? 0 : found->id;
  }

 private:
  ChunkWriter& writer_;
  std::vector<EmbeddedSchema> written_;
};

}  // namespace

Result<SnapshotSummary> write_snapshot(Sink& sink, const SnapshotContents& contents,
                                       std::span<const ChunkType> types,
                                       const SnapshotWriteOptions& options) {
  VMSNAP_RETURN_IF_ERROR(check_encoding(sink, options));
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector manifest, encode(contents.manifest));
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector memory_map, encode(contents.memory_map));
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<const ChunkType*> device_types,
                          find_types(contents.manifest, types));
  VMSNAP_RETURN_IF_ERROR(check_states(contents, device_types));
  VMSNAP_RETURN_IF_ERROR(check_segments(contents));

  VMSNAP_ASSIGN_OR_RETURN(const FileHeader header, make_file_header(contents.memory_map, options));
  VMSNAP_ASSIGN_OR_RETURN(ChunkWriter writer, ChunkWriter::begin(sink, header));

  const FourCc ram_type = ram_chunk_type(options);
  SchemaWriter schemas(writer);
  for (const ChunkType& type : container_chunk_types()) {
    if (type.type == kChunkLost) continue;
    if (is_ram_chunk(type.type) && (contents.segments.empty() || type.type != ram_type)) continue;
    VMSNAP_RETURN_IF_ERROR(schemas.add(type));
  }
  std::vector<std::uint32_t> device_schemas;
  for (const ChunkType* type : device_types) {
    VMSNAP_ASSIGN_OR_RETURN(device_schemas.emplace_back(), schemas.add(*type));
  }

  VMSNAP_RETURN_IF_ERROR(writer.append({kChunkManifest, schemas.id_of(kChunkManifest)}, manifest));
  VMSNAP_RETURN_IF_ERROR(writer.append({kChunkMemoryMap, schemas.id_of(kChunkMemoryMap)}, memory_map));
  const auto source = [&](std::uint32_t segment) -> Result<std::unique_ptr<ExtentSource>> {
    return std::unique_ptr<ExtentSource>(std::make_unique<MemorySource>(contents.segments[segment]));
  };
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotSummary summary, write_memory(writer, schemas.id_of(ram_type),
                                                                      contents.memory_map, source, options));
  for (std::size_t i = 0; i < device_types.size(); ++i) {
    auto appended = writer.append({device_types[i]->type, device_schemas[i], static_cast<std::uint32_t>(i)},
                                  contents.device_states[i]);
    if (!appended) return std::move(std::move(appended).error().in_device(contents.manifest.devices[i].path));
  }
  return finish_file(writer, schemas.id_of(kChunkEnd), schemas.id_of(kChunkIndex), summary);
}

Result<SnapshotSummary> write_snapshot(const File& file, const SnapshotContents& contents,
                                       std::span<const ChunkType> types,
                                       const SnapshotWriteOptions& options) {
  FileSink sink(file);
  return write_snapshot(sink, contents, types, options);
}

Result<SnapshotSummary> write_snapshot(const std::string& path, const SnapshotContents& contents,
                                       std::span<const ChunkType> types,
                                       const SnapshotWriteOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(path));
  auto summary = write_snapshot(target.file(), contents, types, options);
  if (!summary) return std::move(std::move(summary).error().in_file(path));
  VMSNAP_RETURN_IF_ERROR(target.publish());
  return summary;
}

}  // namespace vmsnap
