// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/stream_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "container/chunk_writer.h"
#include "ram/extent_ram_writer.h"
#include "ram/flat_ram_writer.h"
#include "ram/streamed_source.h"
#include "snapshot/copy_rules.h"
#include "snapshot/copy_writer.h"
#include "snapshot/encoding_rules.h"
#include "snapshot/snapshot_stream.h"

namespace vmsnap {
namespace {

constexpr std::size_t kMaxHeldSchemas = 64u << 20;  // bytes

/// One run of copy_stream(). Errors that are of the stream do not name it.
class StreamCopy {
 public:
  StreamCopy(StreamSource& from, Sink& to, const SnapshotWriteOptions& options)
      : from_(from), to_(to), options_(options), stream_(from) {}

  Result<CopyReport> run() {
    VMSNAP_RETURN_IF_ERROR(stream_.begin());
    leave_out_features(stream_.header(), report_.left_out);
    while (true) {
      VMSNAP_RETURN_IF_ERROR(check_cancelled(options_.pass));
      if (!chunk_is_next_) {
        VMSNAP_ASSIGN_OR_RETURN(const bool more, stream_.next());
        if (!more) break;
      }
      chunk_is_next_ = false;
      VMSNAP_RETURN_IF_ERROR(take());
    }
    for (const Segment& segment : segments_) VMSNAP_RETURN_IF_ERROR(segment.source->check_complete());
    VMSNAP_RETURN_IF_ERROR(stream_.directory().check_recovered(stream_.header(), true));
    VMSNAP_RETURN_IF_ERROR(finish());
    if (to_.seekable() != nullptr) VMSNAP_RETURN_IF_ERROR(check(*to_.seekable()));
    return std::move(report_);
  }

 private:
  struct HeldSchema {
    std::uint32_t id = 0;
    std::uint32_t flags = 0;
    ByteVector meta;
    ByteVector body;
  };

  struct Segment {
    std::unique_ptr<StreamedSource> source;  // from its first chunk on
    std::optional<FlatRamWriter> flat;       // if it is written flat
  };

  [[nodiscard]] const SnapshotDirectory& directory() const { return stream_.directory(); }

  Result<void> take() {
    const ChunkRecord chunk = stream_.chunk();
    const FourCc type = chunk.header.type;
    if (type == kChunkSchema) return take_schema(chunk);
    if (is_ram_chunk(type)) return take_ram(chunk);
    if (type == kChunkManifest) {
      manifest_schema_ = chunk.header.schema_id;
      manifest_ = std::move(stream_.meta());
      return {};
    }
    if (type == kChunkMemoryMap) return begin_output(chunk);
    // It goes directly before END, when everything else is written.
    if (type == kChunkLost) return {};
    return take_other(chunk);
  }

  /// Schemas are written once it is known that something needs them.
  Result<void> take_schema(const ChunkRecord& chunk) {
    const EmbeddedSchema& schema = directory().schemas().back();
    if (is_made_anew(schema.chunk_type)) return {};
    held_bytes_ += stream_.meta().size() + stream_.schema_body().size();
    held_.push_back(
        {schema.id, chunk.header.flags, std::move(stream_.meta()), std::move(stream_.schema_body())});
    if (writer_ && is_wanted(schema)) return write_schema(schema.id);
    if (held_bytes_ <= kMaxHeldSchemas) return {};
    return Error(ErrorKind::kLimitExceeded,
                 "schemas that nothing before them needs come to more than 64 MiB; copy a file instead")
        .at_offset(chunk.offset)
        .in_chunk(chunk.name());
  }

  /// True for a schema that a chunk is sure to need.
  [[nodiscard]] bool is_wanted(const EmbeddedSchema& schema) const {
    if (schema.chunk_type == kChunkSchema || schema.id == manifest_schema_ || schema.id == map_schema_) {
      return true;
    }
    const auto& devices = directory().manifest().devices;
    return !is_container_chunk(schema.chunk_type) &&
           std::any_of(devices.begin(), devices.end(), [&](const DeviceEntry& device) {
             return device.type == schema.name && device.version == schema.version;
           });
  }

  /// Writes a schema of the stream, unless it is written.
  Result<void> write_schema(std::uint32_t id) {
    const auto held =
        std::find_if(held_.begin(), held_.end(), [&](const HeldSchema& schema) { return schema.id == id; });
    if (held == held_.end()) return {};
    VMSNAP_RETURN_IF_ERROR(writer_->append({kChunkSchema, 0, id, held->flags}, held->meta, held->body));
    held_bytes_ -= held->meta.size() + held->body.size();
    held_.erase(held);
    return {};
  }

  /// The id of the schema of this build for a type that is made anew; writes the schema first when it is not
  /// written. Takes the id of one that the stream has for this purpose and that is not copied: no other, not
  /// even one yet to come, has it.
  Result<std::uint32_t> own_schema(FourCc type) {
    if (const auto known = own_.find(type.value()); known != own_.end()) return known->second;
    const auto schemas = directory().schemas();
    const auto donor = std::find_if(schemas.begin(), schemas.end(), [&](const EmbeddedSchema& schema) {
      return is_ram_chunk(type) ? is_ram_chunk(schema.chunk_type) : schema.chunk_type == type;
    });
    const std::vector<ChunkType> types = container_chunk_types();
    const auto own =
        std::find_if(types.begin(), types.end(), [&](const ChunkType& each) { return each.type == type; });
    if (donor == schemas.end() || own == types.end()) {
      return Error(ErrorKind::kInternal, fmt::format("there is no schema for {}", type.to_string()));
    }
    VMSNAP_RETURN_IF_ERROR(
        writer_->append({kChunkSchema, 0, donor->id}, encode(describe(*own, donor->id)), own->schema));
    own_.emplace(type.value(), donor->id);
    return donor->id;
  }

  /// With the memory map, everything is known that the beginning of a file says.
  Result<void> begin_output(const ChunkRecord& chunk) {
    const MemoryMap& map = directory().memory_map();
    map_schema_ = chunk.header.schema_id;
    const bool recovered = stream_.header().has_incompatible(kFeatureRecovered);
    VMSNAP_ASSIGN_OR_RETURN(const FileHeader header,
                            header_of_copy(stream_.header().arch, map, recovered, options_));
    VMSNAP_ASSIGN_OR_RETURN(ChunkWriter writer, ChunkWriter::begin(to_, header));
    writer_.emplace(std::move(writer));
    for (const EmbeddedSchema& schema : directory().schemas()) {
      if (is_wanted(schema)) VMSNAP_RETURN_IF_ERROR(write_schema(schema.id));
    }
    for (const EmbeddedSchema& schema : directory().schemas()) {
      const FourCc type = schema.chunk_type;
      if (!is_made_anew(type) || (is_ram_chunk(type) && map.segments.empty())) continue;
      if (type == kChunkLost && !recovered) continue;
      VMSNAP_RETURN_IF_ERROR(own_schema(is_ram_chunk(type) ? ram_chunk_type(options_) : type));
    }
    VMSNAP_RETURN_IF_ERROR(writer_->append({kChunkManifest, manifest_schema_}, manifest_));
    VMSNAP_RETURN_IF_ERROR(writer_->append({kChunkMemoryMap, map_schema_}, stream_.meta()));
    manifest_.clear();
    segments_.resize(map.segments.size());
    for (const MemorySegment& segment : map.segments) report_.written.ram_bytes += segment.size;
    return {};
  }

  Result<void> take_ram(const ChunkRecord& chunk) {
    const std::uint32_t id = chunk.header.instance;
    Segment& segment = segments_[id];
    if (segment.source) {
      VMSNAP_RETURN_IF_ERROR(segment.source->add(chunk, stream_.meta()));
    } else {
      const std::uint64_t size = directory().memory_map().segments[id].size;
      VMSNAP_ASSIGN_OR_RETURN(segment.source, StreamedSource::open(from_, chunk, stream_.meta(), size,
                                                                   {[this, id] { return next_of(id); },
                                                                    to_.seekable() != nullptr}));
    }
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t schema, own_schema(ram_chunk_type(options_)));
    return options_.encoding == RamEncoding::kExtents ? write_extents(id, schema) : write_flat(id, schema);
  }

  /// Goes on to the next chunk; when it belongs to the segment, the source of that takes it.
  Result<bool> next_of(std::uint32_t id) {
    if (chunk_is_next_) return false;
    VMSNAP_ASSIGN_OR_RETURN(const bool more, stream_.next());
    if (!more) return false;
    const ChunkRecord& chunk = stream_.chunk();
    chunk_is_next_ = !is_ram_chunk(chunk.header.type) || chunk.header.instance != id;
    if (chunk_is_next_) return false;
    VMSNAP_RETURN_IF_ERROR(segments_[id].source->add(chunk, stream_.meta()));
    return true;
  }

  Result<void> write_extents(std::uint32_t id, std::uint32_t schema) {
    VMSNAP_ASSIGN_OR_RETURN(
        const WrittenRam ram,
        write_extent_ram(*writer_, schema, id, *segments_[id].source, options_.codec, options_.pass));
    count(ram);
    return {};
  }

  Result<void> write_flat(std::uint32_t id, std::uint32_t schema) {
    Segment& segment = segments_[id];
    StreamedSource& source = *segment.source;
    if (!segment.flat) {
      VMSNAP_ASSIGN_OR_RETURN(FlatRamWriter flat, FlatRamWriter::begin(*writer_, schema, id, source.size(),
                                                                       source.extent_shift()));
      segment.flat.emplace(std::move(flat));
    }
    VMSNAP_RETURN_IF_ERROR(segment.flat->write(source, options_.pass));
    if (source.first_extent() < source.extent_count()) return {};
    VMSNAP_ASSIGN_OR_RETURN(const WrittenRam ram, segment.flat->finish());
    count(ram);
    return {};
  }

  void count(const WrittenRam& ram) {
    report_.written.ram_data_bytes += ram.data_bytes;
    report_.written.ram_stored_bytes += ram.stored_bytes;
  }

  Result<void> take_other(const ChunkRecord& chunk) {
    const ChunkHeader& header = chunk.header;
    const EmbeddedSchema& schema = *directory().schema_of(chunk);
    const bool unknown = stream_.is_unknown();
    VMSNAP_ASSIGN_OR_RETURN(const bool copied, is_copied(chunk, schema, unknown, report_.left_out));
    if (!copied) return stream_.read_body([&](ByteView) { return check_cancelled(options_.pass); });
    VMSNAP_RETURN_IF_ERROR(write_schema(schema.id));
    const ChunkSpec spec{header.type, header.schema_id, header.instance, header.flags};
    if (header.body_size == 0) return writer_->append(spec, stream_.meta());
    const auto copy_body = [&](Sink& sink) {
      return stream_.read_body([&](ByteView piece) -> Result<void> {
        VMSNAP_RETURN_IF_ERROR(check_cancelled(options_.pass));
        return sink.write(piece);
      });
    };
    return writer_->append(spec, stream_.meta(), StreamedBody{header.body_size, header.body_hash, copy_body});
  }

  Result<void> finish() {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t end, own_schema(kChunkEnd));
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t index, own_schema(kChunkIndex));
    if (!directory().losses().empty()) {
      VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t lost, own_schema(kChunkLost));
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, encode(directory().losses(), directory().memory_map()));
      VMSNAP_RETURN_IF_ERROR(writer_->append({kChunkLost, lost}, meta));
    }
    VMSNAP_ASSIGN_OR_RETURN(report_.written, finish_file(*writer_, end, index, report_.written));
    return {};
  }

  /// Holds the new file against what the stream brought.
  Result<void> check(const File& written) const {
    VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader copy, reopen(written));
    MemoryHasher hasher;
    for (const Segment& segment : segments_) segment.source->add_to(hasher);
    VMSNAP_ASSIGN_OR_RETURN(const Digest128 digest, copy.memory_digest());
    if (digest != hasher.digest() || copy.root() != report_.written.root) {
      return Error(ErrorKind::kInternal, "the copy does not hold the same memory as the original")
          .in_file(written.name());
    }
    for (std::uint32_t id = 0; id < segments_.size(); ++id) {
      const StreamedSource& source = *segments_[id].source;
      if (source.unproven().empty()) continue;
      VMSNAP_ASSIGN_OR_RETURN(const SegmentReader segment, copy.segment(id));
      SegmentCursor cursor;
      for (const std::uint64_t index : source.unproven()) {
        VMSNAP_RETURN_IF_ERROR(check_cancelled(options_.pass));
        const auto verified = segment.verify_extent(index, cursor);
        if (verified) continue;
        return verified.error().kind() == ErrorKind::kCorrupt ? source.damaged(index) : verified.error();
      }
    }
    return {};
  }

  StreamSource& from_;
  Sink& to_;
  const SnapshotWriteOptions& options_;
  SnapshotStream stream_;
  bool chunk_is_next_ = false;         // the chunk of stream_ has not been taken
  std::optional<ChunkWriter> writer_;  // from the memory map on
  std::vector<HeldSchema> held_;       // in the order of the stream
  std::size_t held_bytes_ = 0;
  std::map<std::uint32_t, std::uint32_t> own_;  // ids of schemas of this build, by the type they describe
  std::uint32_t manifest_schema_ = 0;
  std::uint32_t map_schema_ = 0;
  ByteVector manifest_;
  std::vector<Segment> segments_;  // by id
  CopyReport report_;
};

}  // namespace

Result<CopyReport> copy_stream(StreamSource& from, Sink& to, const SnapshotWriteOptions& options) {
  VMSNAP_RETURN_IF_ERROR(check_encoding(to, options));
  const auto copy = std::make_unique<StreamCopy>(from, to, options);
  auto report = copy->run();
  if (!report) return std::move(std::move(report).error().in_file(from.name()));
  return report;
}

Result<CopyReport> copy_stream(StreamSource& from, const std::string& to,
                               const SnapshotWriteOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
  FileSink sink(target.file());
  auto report = copy_stream(from, sink, options);
  if (!report) return report;
  VMSNAP_RETURN_IF_ERROR(target.publish());
  return report;
}

}  // namespace vmsnap
