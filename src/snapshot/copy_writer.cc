// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/copy_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/atomic_file.h"
#include "container/chunk_reader.h"
#include "container/chunk_writer.h"
#include "snapshot/copy_rules.h"
#include "snapshot/encoding_rules.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kPieceSize = 1u << 20;
// Between two looks at whether the work was cancelled.
constexpr std::uint64_t kUnreadPieceSize = std::uint64_t{256} << 20;

/// One run of write_copy().
class CopyWriter {
 public:
  CopyWriter(const CopyPlan& plan, const SnapshotWriteOptions& options) : plan_(plan), options_(options) {}

  Result<SnapshotSummary> write(Sink& sink) {
    VMSNAP_ASSIGN_OR_RETURN(FileHeader header,
                            header_of_copy(plan_.arch, plan_.segments, !plan_.losses.empty(), options_));
    if (keeps_memory()) keep_layout(*plan_.header, header);
    VMSNAP_ASSIGN_OR_RETURN(ChunkWriter writer, ChunkWriter::begin(sink, header));
    writer_ = &writer;
    VMSNAP_RETURN_IF_ERROR(write_schemas());
    VMSNAP_RETURN_IF_ERROR(
        writer.append({kChunkManifest, table_schema(kChunkManifest, plan_.manifest)}, plan_.manifest.meta));
    VMSNAP_RETURN_IF_ERROR(writer.append({kChunkMemoryMap, table_schema(kChunkMemoryMap, plan_.memory_map)},
                                         plan_.memory_map.meta));
    VMSNAP_ASSIGN_OR_RETURN(const SnapshotSummary summary,
                            keeps_memory() ? keep_memory(header)
                                           : write_memory(writer, own_schema(ram_chunk_type(options_)),
                                                          plan_.segments, plan_.source, options_));
    for (const CopiedChunk& chunk : plan_.chunks) VMSNAP_RETURN_IF_ERROR(write_chunk(chunk));
    for (const AddedChunk& chunk : plan_.added) {
      VMSNAP_RETURN_IF_ERROR(writer.append(
          {chunk.type->type, added_schema(*chunk.type), chunk.instance, chunk.flags}, chunk.meta));
    }
    if (!plan_.losses.empty()) {
      VMSNAP_ASSIGN_OR_RETURN(const ByteVector lost, encode(plan_.losses, plan_.segments));
      VMSNAP_RETURN_IF_ERROR(writer.append({kChunkLost, own_schema(kChunkLost)}, lost));
    }
    return finish_file(writer, own_schema(kChunkEnd), own_schema(kChunkIndex), summary);
  }

 private:
  [[nodiscard]] bool keeps_memory() const { return plan_.header != nullptr; }

  /// What RAM chunks need of the file header if they are to go on as they are.
  static void keep_layout(const FileHeader& original, FileHeader& header) {
    header.body_align_shift = original.body_align_shift;
    header.features.clear();
    for (const Feature& feature : original.features) {
      if (feature.kind == FeatureKind::kIncompatible) header.features.push_back(feature);
    }
  }

  /// True for the types that the new file describes by schemas of this build: their chunks are made anew.
  [[nodiscard]] bool has_own_schema(FourCc type) const {
    if (is_ram_chunk(type)) return !keeps_memory();
    return is_made_anew(type) || (type == kChunkManifest && !plan_.manifest.schema_id) ||
           (type == kChunkMemoryMap && !plan_.memory_map.schema_id);
  }

  Result<void> write_schemas() {
    std::set<std::uint32_t> wanted;
    if (plan_.manifest.schema_id) wanted.insert(*plan_.manifest.schema_id);
    if (plan_.memory_map.schema_id) wanted.insert(*plan_.memory_map.schema_id);
    for (const CopiedChunk& chunk : plan_.chunks) wanted.insert(chunk.chunk->header.schema_id);
    for (const ChunkRecord* chunk : plan_.memory) wanted.insert(chunk->header.schema_id);
    std::set<std::uint32_t> taken;
    bool schema_of_schemas = false;
    for (const CopiedSchema& copied : plan_.schemas) {
      const bool of_schemas = copied.schema.chunk_type == kChunkSchema;
      if (!of_schemas && wanted.count(copied.schema.id) == 0) continue;
      schema_of_schemas = schema_of_schemas || of_schemas;
      taken.insert(copied.schema.id);
      VMSNAP_RETURN_IF_ERROR(write_chunk({copied.chunk, copied.schema.id}));
    }
    for (const ChunkType& type : container_chunk_types()) {
      if (type.type == kChunkSchema ? schema_of_schemas : !has_own_schema(type.type)) continue;
      if (is_ram_chunk(type.type) &&
          (plan_.segments.segments.empty() || type.type != ram_chunk_type(options_)))
        continue;
      if (type.type == kChunkLost && plan_.losses.empty()) continue;
      VMSNAP_RETURN_IF_ERROR(write_own_schema(type, taken));
    }
    for (const AddedChunk& chunk : plan_.added) {
      if (added_schema(*chunk.type) == 0) VMSNAP_RETURN_IF_ERROR(write_own_schema(*chunk.type, taken));
    }
    return {};
  }

  /// Under an id that is not among `taken` yet.
  Result<void> write_own_schema(const ChunkType& type, std::set<std::uint32_t>& taken) {
    std::uint32_t id = 1;
    while (!taken.insert(id).second) ++id;
    EmbeddedSchema schema = describe(type, id);
    VMSNAP_RETURN_IF_ERROR(writer_->append({kChunkSchema, 0, id}, encode(schema), type.schema));
    own_.push_back(std::move(schema));
    return {};
  }

  /// The id of the schema of an added chunk, or 0 when it is not written yet.
  [[nodiscard]] std::uint32_t added_schema(const ChunkType& type) const {
    const auto found = std::find_if(own_.begin(), own_.end(), [&](const EmbeddedSchema& schema) {
      return schema.chunk_type == type.type && schema.name == type.name && schema.version == type.version;
    });
    return found == own_.end() ? 0 : found->id;
  }

  /// The id of a schema of this build that was written.
  [[nodiscard]] std::uint32_t own_schema(FourCc type) const {
    const auto found = std::find_if(own_.begin(), own_.end(),
                                    [&](const EmbeddedSchema& schema) { return schema.chunk_type == type; });
    return found == own_.end() ? 0 : found->id;
  }

  [[nodiscard]] std::uint32_t table_schema(FourCc type, const CopiedTable& table) const {
    return table.schema_id ? *table.schema_id : own_schema(type);
  }

  Result<SnapshotSummary> keep_memory(const FileHeader& file_header) {
    SnapshotSummary summary;
    for (const MemorySegment& segment : plan_.segments.segments) summary.ram_bytes += segment.size;
    for (const ChunkRecord* chunk : plan_.memory) {
      const ChunkHeader& header = chunk->header;
      VMSNAP_RETURN_IF_ERROR(append({chunk, header.instance}, body_alignment(header, file_header),
                                    [&](Sink& sink) { return copy_unread(*chunk, sink); }));
      summary.ram_stored_bytes += header.body_size;
    }
    return summary;
  }

  Result<void> copy_unread(const ChunkRecord& chunk, Sink& sink) const {
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end();) {
      VMSNAP_RETURN_IF_ERROR(check_cancelled(options_.pass));
      const std::uint64_t size = std::min(kUnreadPieceSize, chunk.body_end() - at);
      VMSNAP_RETURN_IF_ERROR(sink.copy(*plan_.file, at, size));
      if (options_.pass.progress) options_.pass.progress(size);
      at += size;
    }
    return {};
  }

  Result<void> write_chunk(const CopiedChunk& copied) {
    return append(copied, kChunkAlignment, [&](Sink& sink) { return copy_body(*copied.chunk, sink); });
  }

  /// Writes a chunk with the meta it has, and with a body, if it has one, that `body` writes.
  Result<void> append(const CopiedChunk& copied, std::uint64_t alignment,
                      const std::function<Result<void>(Sink&)>& body) {
    const ChunkHeader& header = copied.chunk->header;
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, read_meta(*plan_.file, *copied.chunk));
    const ChunkSpec spec{header.type, header.schema_id, copied.instance, header.flags};
    if (header.body_size == 0) return writer_->append(spec, meta);
    const bool has_holes = header.type == kChunkFlatRam;
    return writer_->append(spec, meta,
                           StreamedBody{header.body_size, header.body_hash, body, alignment, has_holes});
  }

  /// Bodies with leaves are copied as they are: where the leaves stand, only who knows the type knows.
  Result<void> copy_body(const ChunkRecord& chunk, Sink& sink) const {
    Xxh3Stream hash;
    ByteVector piece;
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end(); at += piece.size()) {
      VMSNAP_RETURN_IF_ERROR(check_cancelled(options_.pass));
      piece.resize(std::min(kPieceSize, chunk.body_end() - at));
      VMSNAP_RETURN_IF_ERROR(plan_.file->read_at(at, piece));
      hash.update(piece);
      VMSNAP_RETURN_IF_ERROR(sink.write(piece));
    }
    if (chunk.header.has_leaves() || hash.digest_64() == chunk.header.body_hash) return {};
    return Error(ErrorKind::kCorrupt, "the hash of the body is wrong; the file is damaged")
        .in_file(plan_.file->name())
        .at_offset(chunk.body_offset())
        .in_chunk(chunk.name());
  }

  const CopyPlan& plan_;
  const SnapshotWriteOptions& options_;
  ChunkWriter* writer_ = nullptr;
  std::vector<EmbeddedSchema> own_;
};

/// Checks that what was just written can be opened, and that its tables say it holds the memory of `from`.
Result<void> check_copy(const SnapshotReader& from, const File& written, const SnapshotSummary& summary) {
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader to, reopen(written));
  VMSNAP_ASSIGN_OR_RETURN(const Digest128 before, from.memory_digest());
  VMSNAP_ASSIGN_OR_RETURN(const Digest128 after, to.memory_digest());
  if (before == after && to.root() == summary.root) return {};
  return Error(ErrorKind::kInternal, "the copy does not hold the same memory as the original");
}

}  // namespace

Result<SnapshotSummary> write_copy(Sink& sink, const CopyPlan& plan, const SnapshotWriteOptions& options) {
  VMSNAP_RETURN_IF_ERROR(check_encoding(sink, options));
  return CopyWriter(plan, options).write(sink);
}

Result<CopiedTable> copy_table(const SnapshotReader& from, FourCc type) {
  const ChunkRecord* chunk = from.container().find(type);
  VMSNAP_ASSIGN_OR_RETURN(ByteVector meta, from.container().meta(*chunk));
  return CopiedTable{std::move(meta), chunk->header.schema_id};
}

Result<CopyPlan> plan_copy(const SnapshotReader& from) {
  CopyPlan plan;
  plan.file = &from.container().file();
  plan.arch = from.header().arch;
  for (const EmbeddedSchema& schema : from.schemas()) {
    plan.schemas.push_back({schema, &from.container().chunks()[schema.chunk]});
  }
  VMSNAP_ASSIGN_OR_RETURN(plan.memory_map, copy_table(from, kChunkMemoryMap));
  plan.segments = from.memory_map();
  plan.losses.assign(from.losses().begin(), from.losses().end());
  return plan;
}

Result<void> plan_chunks(const SnapshotReader& from, CopyPlan& plan, std::vector<std::string>& left_out,
                         const IsReplaced& is_replaced) {
  std::set<std::uint32_t> unknown;
  for (const ChunkRecord* chunk : from.unknown_chunks()) unknown.insert(chunk->header.sequence);
  for (const ChunkRecord& chunk : from.container().chunks()) {
    if (is_container_chunk(chunk.header.type)) continue;
    const bool is_unknown = unknown.count(chunk.header.sequence) != 0;
    if (is_replaced(chunk, !is_unknown)) continue;
    auto copied = is_copied(chunk, *from.schema_of(chunk), is_unknown, left_out);
    if (!copied) return std::move(std::move(copied).error().in_file(from.container().file().name()));
    if (*copied) plan.chunks.push_back({&chunk, chunk.header.instance});
  }
  leave_out_features(from.header(), left_out);
  return {};
}

Result<SnapshotReader> reopen(const File& written) {
  UniqueFd fd(::fcntl(written.fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return io_error("cannot be opened twice", errno).in_file(written.name());
  SnapshotReadOptions options;
  options.allow_unknown_critical = true;
  options.allow_recovered = true;
  return SnapshotReader::open(File::adopt(std::move(fd), written.name()), options);
}

Result<SnapshotSummary> publish_copy(const SnapshotReader& from, const std::string& to,
                                     const std::function<Result<SnapshotSummary>(Sink&)>& write) {
  VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
  FileSink sink(target.file());
  VMSNAP_ASSIGN_OR_RETURN(SnapshotSummary written, write(sink));
  if (auto checked = check_copy(from, target.file(), written); !checked) {
    return std::move(std::move(checked).error().in_file(to));
  }
  VMSNAP_RETURN_IF_ERROR(target.publish());
  return written;
}

}  // namespace vmsnap
