// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_rules.h"

#include <fmt/format.h>

#include "container/index.h"

namespace vmsnap {
namespace {

Error corrupt(const ChunkRecord& chunk, std::uint64_t offset, std::string message) {
  return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(offset).in_chunk(chunk.name());
}

/// What the format fixes in the headers of the container's own chunks.
std::optional<std::string> wrong_role(const ChunkHeader& header) {
  if (!is_container_chunk(header.type)) return std::nullopt;
  if (!header.critical()) return "a chunk of this type has the flag CRITICAL, this one has not";
  const bool only_one = header.type == kChunkManifest || header.type == kChunkMemoryMap ||
                        header.type == kChunkLost || header.type == kChunkEnd || header.type == kChunkIndex;
  if (only_one && header.instance != 0)
    return fmt::format("a chunk of this type has instance 0, this one {}", header.instance);
  return std::nullopt;
}

/// What the header alone tells about meta, gap and body of the container's own chunks.
std::optional<std::string> wrong_geometry(const ChunkRecord& chunk, const FileHeader& file_header) {
  const ChunkHeader& header = chunk.header;
  const bool ours = is_container_chunk(header.type);
  if (header.body_size > 0) {
    const std::uint64_t alignment = body_alignment(header, file_header);
    if (chunk.body_offset() % alignment != 0)
      return fmt::format("the body does not begin at a multiple of {}", alignment);
    if (ours && header.gap >= alignment) {
      return fmt::format("the gap of {} bytes is larger than the alignment of {} asks for", header.gap,
                         alignment);
    }
  }
  if (!ours) return std::nullopt;
  const bool may_have_body = header.type == kChunkSchema || is_ram_chunk(header.type);
  // Of the extents encoding, a batch of zero pages has no body.
  const bool must_have_body = may_have_body && header.type != kChunkExtentRam;
  if (header.body_size > 0 ? !may_have_body : must_have_body) {
    return must_have_body ? "a chunk of this type has a body, this one has none"
                          : "a chunk of this type has no body";
  }
  if (header.has_leaves() != (is_ram_chunk(header.type) && header.body_size > 0))
    return "RAM chunks with a body, and no others of ours, have leaves";
  if (header.type == kChunkSchema && header.body_size > kMaxSchemaSize) {
    return fmt::format("the schema of {} bytes is larger than the 1 MiB that the format allows",
                       header.body_size);
  }
  if (header.type == kChunkLost && !file_header.has_incompatible(kFeatureRecovered)) {
    return "the file header does not announce the feature \"recovered\" that the chunk belongs to";
  }
  if (header.type == kChunkExtentRam && !file_header.has_incompatible(kFeatureRamExtents)) {
    return "the file header does not announce the feature \"ram-extents\" that the chunk belongs to";
  }
  if (header.type == kChunkExtentRam && header.codec() == kCodecLz4 &&
      !file_header.has_incompatible(kFeatureLz4)) {
    return "the file header does not announce the feature \"lz4\" that the chunk uses";
  }
  return std::nullopt;
}

}  // namespace

Error in_meta(Error error, const ChunkRecord& chunk) {
  return std::move(error.at_offset(chunk.meta_offset()).in_chunk(chunk.name()));
}

std::uint64_t body_alignment(const ChunkHeader& header, const FileHeader& file_header) {
  if (header.type == kChunkFlatRam) return std::uint64_t{1} << file_header.body_align_shift;
  if (header.type == kChunkExtentRam && header.codec() == kCodecNone) return kPageSize;
  return kChunkAlignment;
}

ChunkRules::ChunkRules(const FileHeader& header)
    : header_(header), seed_(header.hash_seed()), offset_(header.encoded_size()) {}

Result<ChunkRecord> ChunkRules::next(const EncodedChunkHeader& bytes) {
  VMSNAP_ASSIGN_OR_RETURN(const ChunkHeader decoded, decode_chunk_header(bytes, seed_, offset_));
  ChunkRecord chunk{decoded, offset_, 0};
  const auto refuse = [&](std::string sentence) { return corrupt(chunk, offset_, std::move(sentence)); };
  if (auto wrong = follow(decoded)) return refuse(std::move(*wrong));
  if (decoded.sequence >= kMaxChunkCount) {
    return refuse(fmt::format("a snapshot cannot have more than {} chunks", kMaxChunkCount));
  }
  const auto end = chunk_end(decoded, offset_);
  if (!end) return refuse("the sizes in the chunk header lead beyond any file");
  if (auto wrong = wrong_role(decoded)) return refuse(std::move(*wrong));
  if (auto wrong = wrong_geometry(chunk, header_)) return refuse(std::move(*wrong));
  chunk.end = *end;
  offset_ = *end;
  return chunk;
}

std::optional<std::string> ChunkRules::follow(const ChunkHeader& header) {
  if (header.sequence != count_++) {
    return fmt::format(
        "the chunk has sequence number {} in place {}; chunks are missing or in the wrong order",
        header.sequence, count_ - 1);
  }
  if (end_seen_ != (header.type == kChunkIndex)) {
    return end_seen_ ? "INDX and nothing else must follow END" : "INDX must follow END";
  }
  if (header.type == kChunkIndex) return wrong_schema(header);
  if (lost_seen_ && header.type != kChunkEnd) return "END and nothing else must follow LOST";
  if (header.type == kChunkSchema) {
    if (header.instance == 0 || !schema_ids_.insert(header.instance).second) {
      return fmt::format("schema id {} is 0 or used twice", header.instance);
    }
    if (schema_ids_.size() > kMaxSchemaCount) {
      return fmt::format("a snapshot cannot have more than {} schemas", kMaxSchemaCount);
    }
    return std::nullopt;
  }
  if (manifest_seen_ == (header.type == kChunkManifest)) {
    return "CONF must be the first chunk after its schemas, and the only one of its type";
  }
  manifest_seen_ = true;
  if (header.type != kChunkManifest) {
    if (memory_map_seen_ == (header.type == kChunkMemoryMap)) {
      return "MEMM must follow CONF, with nothing but schemas between, and be the only one of its type";
    }
    memory_map_seen_ = true;
  }
  if (header.type == kChunkLost) lost_seen_ = true;
  if (header.type == kChunkEnd) end_seen_ = true;
  return wrong_schema(header);
}

std::optional<std::string> ChunkRules::wrong_schema(const ChunkHeader& header) const {
  if (schema_ids_.count(header.schema_id) != 0) return std::nullopt;
  return fmt::format("the chunk refers to schema {}, which no SCHM chunk before it holds", header.schema_id);
}

Result<Digest128> check_end(ByteView meta, const ChunkRecord& end) {
  auto decoded = decode_end(meta);
  if (!decoded) return in_meta(std::move(decoded).error(), end);
  if (decoded->chunk_count != end.header.sequence) {
    return corrupt(end, end.meta_offset(),
                   fmt::format("END disagrees with the chunks: it counts {} before it, there are {}",
                               decoded->chunk_count, end.header.sequence));
  }
  return decoded->root;
}

Result<std::vector<Digest128>> check_index(ByteView meta, std::span<const ChunkRecord> chunks) {
  const ChunkRecord& index = chunks.back();
  auto lines = decode_index(meta);
  if (!lines) return in_meta(std::move(lines).error(), index);
  if (lines->size() != index.header.sequence) {
    return corrupt(index, index.meta_offset(),
                   fmt::format("the index has {} lines for {} chunks", lines->size(), index.header.sequence));
  }
  std::vector<Digest128> digests;
  digests.reserve(lines->size());
  for (std::size_t i = 0; i < lines->size(); ++i) {
    const ChunkRecord& chunk = chunks[i];
    const IndexLine walked{chunk.offset,      chunk.end - chunk.offset, (*lines)[i].digest,
                           chunk.header.type, chunk.header.instance,    chunk.header.schema_id,
                           chunk.header.flags};
    if ((*lines)[i] != walked) {
      return corrupt(index, index.meta_offset(),
                     fmt::format("the index disagrees with the header of chunk {}", chunk.name()));
    }
    digests.push_back((*lines)[i].digest);
  }
  return digests;
}

Result<Footer> check_footer(ByteView bytes, const FileHeader& header, const ChunkRecord& index) {
  auto footer = decode_footer(bytes, header.hash_seed());
  if (!footer) return std::move(std::move(footer).error().at_offset(index.end));
  if (footer->file_size != index.end + kFooterSize || footer->index_offset != index.offset ||
      footer->chunk_count != index.header.sequence + 1) {
    return Error(ErrorKind::kCorrupt,
                 "the footer and the chunks differ; the file was changed after it was written")
        .at_offset(index.end);
  }
  return footer;
}

}  // namespace vmsnap
