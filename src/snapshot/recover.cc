// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/recover.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/atomic_file.h"
#include "container/chunk_reader.h"
#include "container/flatbuffer.h"
#include "container/index.h"
#include "container/salvage.h"
#include "format/digest.h"
#include "ram/remains_source.h"
#include "snapshot/copy_writer.h"

namespace vmsnap {
namespace {

// Of a body that is only hashed.
constexpr std::uint64_t kBytesAtOnce = 4u << 20;

/// One run of recover_snapshot().
class Recovery {
 public:
  Recovery(const File& file, const PassOptions& pass) : file_(file), pass_(pass) { plan_.file = &file; }

  /// Finds out what is left.
  Result<void> look() {
    VMSNAP_ASSIGN_OR_RETURN(file_size_, file_.size());
    VMSNAP_ASSIGN_OR_RETURN(header_, read_file_header(file_, file_size_));
    VMSNAP_ASSIGN_OR_RETURN(chunks_, find_chunks(file_, file_size_, header_));
    plan_.arch = header_.arch;
    VMSNAP_RETURN_IF_ERROR(look_at_schemas());
    VMSNAP_RETURN_IF_ERROR(look_at_tables());
    VMSNAP_RETURN_IF_ERROR(look_at_older_losses());
    VMSNAP_RETURN_IF_ERROR(look_at_chunks());
    VMSNAP_RETURN_IF_ERROR(look_at_memory());
    VMSNAP_RETURN_IF_ERROR(look_at_gaps());
    return {};
  }

  Result<RecoveryReport> write(const std::string& to) {
    VMSNAP_RETURN_IF_ERROR(renumber_devices());
    SnapshotWriteOptions options;
    options.pass = pass_;
    for (const SegmentRemains& segment : segments_) {
      if (segment.has_batches()) options.encoding = RamEncoding::kExtents;
      if (segment.is_compressed()) options.codec = Codec::kLz4;
    }
    plan_.source = [this](std::uint32_t id) -> Result<std::unique_ptr<ExtentSource>> {
      return std::unique_ptr<ExtentSource>(std::make_unique<RemainsSource>(segments_[id], lost_extents_[id]));
    };
    VMSNAP_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::create(to));
    FileSink sink(target.file());
    VMSNAP_ASSIGN_OR_RETURN(report_.written, write_copy(sink, plan_, options));
    if (const auto written = reopen(target.file()); !written) {
      return Error(ErrorKind::kInternal,
                   fmt::format("what was recovered is not sound: {}", written.error().to_string()))
          .in_file(to);
    }
    VMSNAP_RETURN_IF_ERROR(target.publish());
    report_.memory_map = plan_.segments;
    report_.losses = plan_.losses;
    return std::move(report_);
  }

 private:
  using Reason = std::optional<std::string>;

  /// Takes an error about the damaged file as a reason; one of the host stays an error.
  static Result<Reason> reason_of(Error error) {
    if (error.kind() == ErrorKind::kIo) return error;
    return Reason(error.message());
  }

  void lose_chunk(const ChunkHeader& header, std::string reason) {
    Loss loss;
    loss.kind = Loss::Kind::kChunk;
    loss.type = header.type.to_string();
    loss.instance = header.instance;
    loss.reason = std::move(reason);
    plan_.losses.push_back(std::move(loss));
  }

  [[nodiscard]] const EmbeddedSchema* find_schema(std::uint32_t id) const {
    const auto found = std::find_if(plan_.schemas.begin(), plan_.schemas.end(),
                                    [&](const CopiedSchema& copied) { return copied.schema.id == id; });
    return found == plan_.schemas.end() ? nullptr : &found->schema;
  }

  /// The schema of a chunk, if the file still has it and it is of the chunk's type.
  [[nodiscard]] const EmbeddedSchema* schema_of(const ChunkRecord& chunk) const {
    const EmbeddedSchema* schema = find_schema(chunk.header.schema_id);
    return schema != nullptr && schema->chunk_type == chunk.header.type ? schema : nullptr;
  }

  Result<Reason> add_schema(const ChunkRecord& chunk) {
    if (unsupported_flags(chunk.header) || !chunk.header.critical() || chunk.header.has_leaves() ||
        chunk.header.codec() != kCodecNone) {
      return Reason("its flags are not those of a schema");
    }
    auto meta = read_meta(file_, chunk);
    if (!meta) return reason_of(std::move(meta).error());
    auto schema = decode_schema_meta(*meta);
    if (!schema) return reason_of(std::move(schema).error());
    if (chunk.header.body_size > kMaxSchemaSize) return Reason("the schema is too large");
    ByteVector body(chunk.header.body_size);
    if (auto read = file_.read_at(chunk.body_offset(), body); !read) {
      return reason_of(std::move(read).error());
    }
    if (xxh3_64(body) != chunk.header.body_hash || xxh3_128(body) != schema->content_hash) {
      return Reason("the hash of the schema is wrong");
    }
    const bool again =
        find_schema(schema->id) != nullptr ||
        (schema->chunk_type == kChunkSchema &&
         std::any_of(plan_.schemas.begin(), plan_.schemas.end(),
                     [](const CopiedSchema& copied) { return copied.schema.chunk_type == kChunkSchema; }));
    if (schema->id != chunk.header.instance || schema->id == 0 || again) {
      return Reason("another schema has its number");
    }
    plan_.schemas.push_back({std::move(*schema), &chunk});
    return Reason();
  }

  Result<void> look_at_schemas() {
    for (const ChunkRecord& chunk : chunks_) {
      if (chunk.header.type != kChunkSchema || plan_.schemas.size() >= kMaxSchemaCount) continue;
      VMSNAP_ASSIGN_OR_RETURN(Reason reason, add_schema(chunk));
      if (reason) lose_chunk(chunk.header, std::move(*reason));
    }
    const std::vector<ChunkType> own_types = container_chunk_types();
    for (const CopiedSchema& copied : plan_.schemas) {
      const auto own = std::find_if(own_types.begin(), own_types.end(), [&](const ChunkType& type) {
        return type.type == copied.schema.chunk_type;
      });
      if (own == own_types.end() || own->version.major == copied.schema.version.major) continue;
      return Error(ErrorKind::kUnsupported,
                   fmt::format("the schema of {} chunks has version {}, this build reads version {}; use a "
                               "matching version",
                               copied.schema.chunk_type.to_string(), to_string(copied.schema.version),
                               to_string(own->version)))
          .in_file(file_.name());
    }
    return {};
  }

  /// "3 SCHM, 1 CONF": chunks whose headers verify.
  [[nodiscard]] std::string found() const {
    std::map<std::string, std::size_t> counts;
    for (const ChunkRecord& chunk : chunks_) ++counts[chunk.header.type.to_string()];
    std::string out;
    for (const auto& [type, count] : counts) {
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, type);
    }
    return out.empty() ? "nothing" : out;
  }

  template <typename Decode>
  Result<CopiedTable> find_table(FourCc type, std::string_view what, const Decode& decode) {
    std::string reason = "no header of it was found";
    for (const ChunkRecord& chunk : chunks_) {
      if (chunk.header.type != type) continue;
      auto meta = read_meta(file_, chunk);
      if (meta) {
        Result<void> decoded = decode(*meta);
        const EmbeddedSchema* schema = schema_of(chunk);
        if (decoded) {
          return CopiedTable{std::move(*meta), schema == nullptr ? std::nullopt : std::optional(schema->id)};
        }
        reason = decoded.error().message();
      } else {
        if (meta.error().kind() == ErrorKind::kIo) return std::move(meta).error();
        reason = meta.error().message();
      }
    }
    const bool cut = chunks_.empty() || chunks_.back().end >= file_size_;
    return Error(
               cut ? ErrorKind::kTruncated : ErrorKind::kCorrupt,
               fmt::format("the {} is lost ({}), and without it there is no machine to recover; chunks whose "
                           "headers verify: {}",
                           what, reason, found()))
        .in_file(file_.name());
  }

  Result<void> look_at_tables() {
    VMSNAP_ASSIGN_OR_RETURN(plan_.manifest,
                            find_table(kChunkManifest, "manifest", [&](ByteView meta) -> Result<void> {
                              VMSNAP_ASSIGN_OR_RETURN(manifest_, decode_manifest(meta));
                              return {};
                            }));
    VMSNAP_ASSIGN_OR_RETURN(plan_.memory_map,
                            find_table(kChunkMemoryMap, "memory map", [&](ByteView meta) -> Result<void> {
                              VMSNAP_ASSIGN_OR_RETURN(plan_.segments, decode_memory_map(meta));
                              return {};
                            }));
    report_.devices = static_cast<std::uint32_t>(manifest_.devices.size());
    return {};
  }

  /// What a file lacked that was itself recovered, and then damaged.
  Result<void> look_at_older_losses() {
    if (!header_.has_incompatible(kFeatureRecovered)) return {};
    for (const ChunkRecord& chunk : chunks_) {
      if (chunk.header.type != kChunkLost) continue;
      auto meta = read_meta(file_, chunk);
      if (!meta && meta.error().kind() == ErrorKind::kIo) return std::move(meta).error();
      if (!meta) continue;
      auto losses = decode_lost(*meta, plan_.segments);
      if (!losses) continue;
      plan_.losses.insert(plan_.losses.end(), losses->begin(), losses->end());
      return {};
    }
    Loss loss;
    loss.type = kChunkLost.to_string();
    loss.reason = "the file had been recovered before, and the list of what it lacked then is damaged";
    plan_.losses.push_back(std::move(loss));
    return {};
  }

  /// Takes the state of a device.
  Result<Reason> add_state(const ChunkRecord& chunk, const EmbeddedSchema& schema,
                           const DeviceEntry& device) {
    if (schema.version != device.version || chunk.header.body_size != 0 || !chunk.header.critical()) {
      return Reason("its chunk contradicts the manifest");
    }
    if (auto error = unsupported_flags(chunk.header)) return Reason(error->message());
    auto state = read_meta(file_, chunk);
    if (!state) return reason_of(std::move(state).error());
    if (!has_identifier(*state, chunk.header.type))
      return Reason("its state is not of the type of its chunk");
    states_.emplace(device.instance, &chunk);
    return Reason();
  }

  /// Takes a chunk of unknown meaning.
  Result<Reason> add_unknown(const ChunkRecord& chunk) {
    if (schema_of(chunk) == nullptr) return Reason("its schema is lost");
    if (auto error = unsupported_flags(chunk.header)) return Reason(error->message());
    if ((chunk.header.flags & kChunkSafeToCopy) == 0) {
      return Reason("its meaning is not known, and it is not marked as safe to copy");
    }
    if (chunk.header.has_leaves()) return Reason("its meaning is not known, so its body cannot be verified");
    auto meta = read_meta(file_, chunk);
    if (!meta) return reason_of(std::move(meta).error());
    Xxh3Stream hash;
    ByteVector piece;
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end(); at += piece.size()) {
      piece.resize(std::min<std::uint64_t>(kBytesAtOnce, chunk.body_end() - at));
      if (auto read = file_.read_at(at, piece); !read) return reason_of(std::move(read).error());
      hash.update(piece);
    }
    if (hash.digest_64() != chunk.header.body_hash) return Reason("the hash of its body is wrong");
    others_.push_back(&chunk);
    return Reason();
  }

  Result<void> look_at_chunks() {
    std::set<std::string> types;
    for (const DeviceEntry& device : manifest_.devices) types.insert(device.type);
    std::map<std::uint32_t, std::string> reasons;  // by instance
    for (const ChunkRecord& chunk : chunks_) {
      if (is_container_chunk(chunk.header.type)) continue;
      const std::uint32_t instance = chunk.header.instance;
      const EmbeddedSchema* schema = schema_of(chunk);
      const bool is_state = schema != nullptr && types.count(schema->name) != 0;
      if (!is_state) {
        VMSNAP_ASSIGN_OR_RETURN(Reason reason, add_unknown(chunk));
        if (reason) lose_chunk(chunk.header, std::move(*reason));
        continue;
      }
      if (instance >= manifest_.devices.size() || manifest_.devices[instance].type != schema->name ||
          states_.count(instance) != 0) {
        lose_chunk(chunk.header, "the manifest has no such device");
        continue;
      }
      VMSNAP_ASSIGN_OR_RETURN(Reason reason, add_state(chunk, *schema, manifest_.devices[instance]));
      if (reason) reasons.emplace(instance, std::move(*reason));
    }
    for (const DeviceEntry& device : manifest_.devices) {
      if (states_.count(device.instance) != 0) continue;
      Loss loss;
      loss.kind = Loss::Kind::kDevice;
      loss.path = device.path;
      loss.type = device.type;
      loss.instance = device.instance;
      const auto reason = reasons.find(device.instance);
      loss.reason = reason != reasons.end() ? reason->second : "no chunk with its state was found";
      plan_.losses.push_back(std::move(loss));
    }
    report_.devices_recovered = static_cast<std::uint32_t>(states_.size());
    return {};
  }

  Result<void> look_at_memory() {
    for (const MemorySegment& segment : plan_.segments.segments) {
      std::vector<const ChunkRecord*> found;
      for (const ChunkRecord& chunk : chunks_) {
        if (is_ram_chunk(chunk.header.type) && chunk.header.instance == segment.id) found.push_back(&chunk);
      }
      VMSNAP_ASSIGN_OR_RETURN(SegmentRemains remains, SegmentRemains::open(file_, segment.size, found));
      VMSNAP_ASSIGN_OR_RETURN(LostExtents lost, find_lost_extents(remains, pass_));
      report_.memory_recovered += segment.size;
      Loss* last = nullptr;
      for (const auto& [index, reason] : lost) {
        const std::uint64_t begin = remains.extent_begin(index);
        const std::uint64_t size = remains.extent_end(index) - begin;
        report_.memory_recovered -= size;
        if (last != nullptr && last->offset + last->size == begin && last->reason == reason) {
          last->size += size;
          continue;
        }
        Loss& loss = plan_.losses.emplace_back();
        loss.kind = Loss::Kind::kMemory;
        loss.segment = segment.id;
        loss.offset = begin;
        loss.size = size;
        loss.reason = reason;
        last = &loss;
      }
      segments_.push_back(std::move(remains));
      lost_extents_.push_back(std::move(lost));
    }
    return {};
  }

  /// The lines of the index, if it is whole.
  Result<std::vector<IndexLine>> index() const {
    for (const ChunkRecord& chunk : chunks_) {
      if (chunk.header.type != kChunkIndex) continue;
      auto meta = read_meta(file_, chunk);
      if (!meta && meta.error().kind() == ErrorKind::kIo) return std::move(meta).error();
      if (!meta) continue;
      auto lines = decode_index(*meta);
      if (lines && lines->size() == chunk.header.sequence) return lines;
    }
    return std::vector<IndexLine>();
  }

  /// Numbers of chunks that no header with this number was found of.
  Result<void> look_at_gaps() {
    VMSNAP_ASSIGN_OR_RETURN(const std::vector<IndexLine> lines, index());
    std::set<std::string> types;
    for (const DeviceEntry& device : manifest_.devices) types.insert(device.type);
    std::uint32_t next = 0;
    std::uint64_t offset = header_.encoded_size();
    bool end_found = false;
    for (const ChunkRecord& chunk : chunks_) {
      const ChunkHeader& header = chunk.header;
      // The chunk before INDX is END, which says nothing that INDX does not.
      const std::uint32_t wanted =
          header.type == kChunkIndex && header.sequence > 0 ? header.sequence - 1 : header.sequence;
      if (next < wanted) lose_gap(lines, types, next, wanted, offset, chunk.offset);
      next = header.sequence + 1;
      offset = chunk.end;
      end_found = end_found || header.type == kChunkEnd || header.type == kChunkIndex;
    }
    if (end_found) return {};
    std::string where;
    if (offset > file_size_) {
      where = fmt::format("the file ends at offset {}, inside {}", file_size_, chunks_.back().name());
    } else if (offset == file_size_) {
      where = fmt::format("the file ends at offset {}, where more should follow", file_size_);
    } else {
      where = fmt::format("no header of a chunk was found from offset {} to the end of the file", offset);
    }
    Loss loss;
    loss.reason = where + "; what there was beyond memory and devices is not known";
    plan_.losses.push_back(std::move(loss));
    return {};
  }

  /// The chunks [first, last) were not found between two offsets.
  void lose_gap(const std::vector<IndexLine>& lines, const std::set<std::string>& types, std::uint32_t first,
                std::uint32_t last, std::uint64_t begin, std::uint64_t end) {
    if (lines.empty()) {
      Loss loss;
      loss.reason = fmt::format(
          "no header of the chunks with the numbers {} to {} was found between the offsets "
          "{} and {}",
          first, last - 1, begin, end);
      plan_.losses.push_back(std::move(loss));
      return;
    }
    for (std::uint32_t i = first; i < last && i < lines.size(); ++i) {
      const IndexLine& line = lines[i];
      const EmbeddedSchema* schema = find_schema(line.schema_id);
      const bool is_state = schema != nullptr && types.count(schema->name) != 0;
      // Memory and devices are accounted for by what they are, not by their chunks.
      if (is_ram_chunk(line.type) || line.type == kChunkEnd || is_state) continue;
      ChunkHeader header;
      header.type = line.type;
      header.instance = line.instance;
      lose_chunk(header, fmt::format("no header of it was found at offset {}", line.offset));
    }
  }

  /// Leaves the devices that are lost out of the manifest, and numbers the others anew.
  Result<void> renumber_devices() {
    std::map<std::uint32_t, std::uint32_t> new_instance;
    for (const auto& [instance, chunk] : states_) {
      const auto number = static_cast<std::uint32_t>(new_instance.size());
      new_instance.emplace(instance, number);
      plan_.chunks.push_back({chunk, number});
    }
    for (const ChunkRecord* chunk : others_) plan_.chunks.push_back({chunk, chunk->header.instance});
    if (states_.size() == manifest_.devices.size()) return {};
    Manifest manifest = manifest_;
    manifest.devices.clear();
    for (const auto& [instance, number] : new_instance) {
      DeviceEntry device = manifest_.devices[instance];
      device.instance = number;
      device.restore_after.clear();
      for (const std::uint32_t other : manifest_.devices[instance].restore_after) {
        const auto kept = new_instance.find(other);
        if (kept != new_instance.end()) device.restore_after.push_back(kept->second);
      }
      manifest.devices.push_back(std::move(device));
    }
    VMSNAP_ASSIGN_OR_RETURN(plan_.manifest.meta, encode(manifest));
    plan_.manifest.schema_id.reset();
    return {};
  }

  const File& file_;
  const PassOptions& pass_;
  std::uint64_t file_size_ = 0;
  FileHeader header_;
  std::vector<ChunkRecord> chunks_;
  Manifest manifest_;
  std::map<std::uint32_t, const ChunkRecord*> states_;  // by instance
  std::vector<const ChunkRecord*> others_;
  std::vector<SegmentRemains> segments_;
  std::vector<LostExtents> lost_extents_;  // by segment
  CopyPlan plan_;
  RecoveryReport report_;
};

}  // namespace

Result<RecoveryReport> recover_snapshot(const File& damaged, const std::string& to, const PassOptions& pass) {
  Recovery recovery(damaged, pass);
  VMSNAP_RETURN_IF_ERROR(recovery.look());
  return recovery.write(to);
}

}  // namespace vmsnap
