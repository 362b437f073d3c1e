// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "container/index.h"
#include "format/digest.h"

namespace vmsnap {
namespace {

constexpr std::size_t kPieceSize = 256u << 10;

Error at_chunk(Error error, const File& file, const ChunkRecord& chunk, std::uint64_t offset) {
  error.in_file(file.name()).at_offset(offset).in_chunk(chunk.name());
  return error;
}

Error corrupt(const File& file, const ChunkRecord& chunk, std::uint64_t offset, std::string message) {
  return at_chunk(Error(ErrorKind::kCorrupt, std::move(message)), file, chunk, offset);
}

/// Follows the rules of order as the chunks come.
class OrderChecker {
 public:
  /// The sentence that says what is wrong with `header` at this place, or nothing.
  std::optional<std::string> next(const ChunkHeader& header) {
    if (header.sequence != count_++) {
      return fmt::format(
          "the chunk has sequence number {} in place {}; chunks are missing or in the wrong order",
          header.sequence, count_ - 1);
    }
    if (end_seen_ != (header.type == kChunkIndex)) {
      return end_seen_ ? "INDX and nothing else must follow END" : "INDX must follow END";
    }
    if (header.type == kChunkIndex) return needs_schema(header);
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
    if (header.type == kChunkEnd) end_seen_ = true;
    return needs_schema(header);
  }

 private:
  std::optional<std::string> needs_schema(const ChunkHeader& header) const {
    if (schema_ids_.count(header.schema_id) != 0) return std::nullopt;
    return fmt::format("the chunk refers to schema {}, which no SCHM chunk before it holds",
                       header.schema_id);
  }

  std::uint32_t count_ = 0;
  std::set<std::uint32_t> schema_ids_;
  bool manifest_seen_ = false;
  bool memory_map_seen_ = false;
  bool end_seen_ = false;
};

/// What the format fixes in the headers of the container's own chunks.
std::optional<std::string> wrong_role(const ChunkHeader& header) {
  if (!is_container_chunk(header.type)) return std::nullopt;
  if (!header.critical()) return "a chunk of this type has the flag CRITICAL, this one has not";
  const bool only_one = header.type == kChunkManifest || header.type == kChunkMemoryMap ||
                        header.type == kChunkEnd || header.type == kChunkIndex;
  if (only_one && header.instance != 0)
    return fmt::format("a chunk of this type has instance 0, this one {}", header.instance);
  return std::nullopt;
}

/// The alignment of a chunk's body; of foreign chunks, the least there is.
std::uint64_t body_alignment(const ChunkHeader& header, const FileHeader& file_header) {
  if (header.type == kChunkFlatRam) return std::uint64_t{1} << file_header.body_align_shift;
  if (header.type == kChunkExtentRam && header.codec() == kCodecNone) return kPageSize;
  return kChunkAlignment;
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
  if (header.type == kChunkExtentRam && !file_header.has_incompatible(kFeatureRamExtents)) {
    return "the file header does not announce the feature \"ram-extents\" that the chunk belongs to";
  }
  if (header.type == kChunkExtentRam && header.codec() == kCodecLz4 &&
      !file_header.has_incompatible(kFeatureLz4)) {
    return "the file header does not announce the feature \"lz4\" that the chunk uses";
  }
  return std::nullopt;
}

Error cut_short(const File& file, std::uint64_t file_size, std::string_view where) {
  return Error(ErrorKind::kTruncated,
               fmt::format("the file ends {}: the save did not finish or the copy is incomplete", where))
      .in_file(file.name())
      .at_offset(file_size);
}

}  // namespace

Result<FileHeader> read_file_header(const File& file, std::uint64_t file_size) {
  const auto in_file = [&](Error error) { return std::move(error.in_file(file.name())); };
  ByteVector bytes(std::min<std::uint64_t>(file_size, kFileHeaderFixedSize));
  VMSNAP_RETURN_IF_ERROR(file.read_at(0, bytes));
  auto size = file_header_size(bytes);
  if (!size) return in_file(std::move(size).error());
  if (*size > file_size) {
    // A damaged size field must not look like a short file: the number of features has to agree with it.
    const auto feature_count = load_le<std::uint16_t>(bytes, 56);
    if (*size == kFileHeaderFixedSize + kFeatureRecordSize * feature_count) {
      return cut_short(file, file_size, "inside its header");
    }
    return in_file(
        Error(ErrorKind::kCorrupt, "the size of the header is wrong; the file is damaged").at_offset(12));
  }
  bytes.resize(*size);
  VMSNAP_RETURN_IF_ERROR(file.read_at(0, bytes));
  auto header = decode_file_header(bytes);
  if (!header) return in_file(std::move(header).error());
  return header;
}

ChunkWalk walk_chunks(const File& file, std::uint64_t file_size, const FileHeader& header) {
  ChunkWalk walk;
  walk.end = header.encoded_size();
  const std::uint64_t seed = header.hash_seed();
  OrderChecker order;
  while (true) {
    const std::uint64_t offset = walk.end;
    const auto stop = [&](Error error) {
      walk.stopped = std::move(error.in_file(file.name()));
      return walk;
    };
    if (offset > file_size || file_size - offset < kChunkHeaderSize) {
      return stop(cut_short(file, file_size, "where another chunk should begin"));
    }
    EncodedChunkHeader bytes;
    if (auto read = file.read_at(offset, bytes); !read) return stop(std::move(read).error());
    auto decoded = decode_chunk_header(bytes, seed, offset);
    if (!decoded) return stop(std::move(decoded).error());
    ChunkRecord chunk{*decoded, offset, 0};
    const auto refuse = [&](std::string sentence) {
      return stop(corrupt(file, chunk, offset, std::move(sentence)));
    };
    if (auto wrong = order.next(chunk.header)) return refuse(std::move(*wrong));
    if (chunk.header.sequence >= kMaxChunkCount) {
      return refuse(fmt::format("a snapshot cannot have more than {} chunks", kMaxChunkCount));
    }
    const auto end = chunk_end(chunk.header, offset);
    if (!end) return refuse("the sizes in the chunk header lead beyond any file");
    if (auto wrong = wrong_role(chunk.header)) return refuse(std::move(*wrong));
    if (auto wrong = wrong_geometry(chunk, header)) return refuse(std::move(*wrong));
    if (*end > file_size) {
      return stop(cut_short(file, file_size, "inside the chunk").in_chunk(chunk.name()));
    }
    chunk.end = *end;
    walk.end = *end;
    walk.chunks.push_back(chunk);
    if (chunk.header.type == kChunkIndex) return walk;
  }
}

Result<void> check_zero(const File& file, std::uint64_t begin, std::uint64_t end) {
  ByteVector piece;
  while (begin < end) {
    VMSNAP_ASSIGN_OR_RETURN(const auto data, file.next_data(begin, end));
    if (!data) return {};
    for (begin = data->begin; begin < data->end; begin += piece.size()) {
      piece.resize(std::min<std::uint64_t>(kPieceSize, data->end - begin));
      VMSNAP_RETURN_IF_ERROR(file.read_at(begin, piece));
      if (is_all_zero(piece)) continue;
      const auto first =
          std::find_if(piece.begin(), piece.end(), [](std::byte b) { return b != std::byte{0}; });
      return Error(ErrorKind::kCorrupt, "a byte that must be zero is not; the file is damaged")
          .in_file(file.name())
          .at_offset(begin + static_cast<std::uint64_t>(first - piece.begin()));
    }
  }
  return {};
}

Result<ChunkReader> ChunkReader::open(File file) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, file.size());
  VMSNAP_ASSIGN_OR_RETURN(FileHeader header, read_file_header(file, file_size));
  ChunkWalk walk = walk_chunks(file, file_size, header);
  if (walk.stopped) return std::move(*walk.stopped);
  const std::uint64_t left = file_size - walk.end;
  if (left < kFooterSize) return cut_short(file, file_size, "before its footer");
  if (left > kFooterSize) {
    return Error(ErrorKind::kCorrupt, fmt::format("{} bytes follow the end of the snapshot; something was "
                                                  "appended to the file",
                                                  left - kFooterSize))
        .in_file(file.name())
        .at_offset(walk.end + kFooterSize);
  }
  EncodedFooter bytes;
  VMSNAP_RETURN_IF_ERROR(file.read_at(walk.end, bytes));
  auto footer = decode_footer(bytes, header.hash_seed());
  if (!footer) return std::move(std::move(footer).error().in_file(file.name()).at_offset(walk.end));
  if (footer->file_size != file_size || footer->index_offset != walk.chunks.back().offset ||
      footer->chunk_count != walk.chunks.size()) {
    return Error(ErrorKind::kCorrupt,
                 "the footer and the chunks differ; the file was changed after it was written")
        .in_file(file.name())
        .at_offset(walk.end);
  }
  ChunkReader reader(std::move(file), std::move(header), *footer, std::move(walk.chunks));
  VMSNAP_RETURN_IF_ERROR(reader.load_index());
  for (const ChunkRecord& chunk : reader.chunks_) {
    if (auto error = unsupported_flags(chunk.header)) {
      return at_chunk(std::move(*error), reader.file_, chunk, chunk.offset);
    }
  }
  return reader;
}

Result<void> ChunkReader::load_index() {
  const ChunkRecord& index = chunks_.back();
  const ChunkRecord& end = chunks_[chunks_.size() - 2];
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector end_bytes, meta(end));
  auto end_meta = decode_end(end_bytes);
  if (!end_meta) return at_chunk(std::move(end_meta).error(), file_, end, end.meta_offset());
  if (end_meta->chunk_count != end.header.sequence || end_meta->root != footer_.root) {
    return corrupt(file_, end, end.meta_offset(), "END disagrees with the chunks or the footer");
  }
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector index_bytes, meta(index));
  auto lines = decode_index(index_bytes);
  if (!lines) return at_chunk(std::move(lines).error(), file_, index, index.meta_offset());
  if (lines->size() != index.header.sequence) {
    return corrupt(file_, index, index.meta_offset(),
                   fmt::format("the index has {} lines for {} chunks", lines->size(), index.header.sequence));
  }
  for (std::size_t i = 0; i < lines->size(); ++i) {
    const ChunkRecord& chunk = chunks_[i];
    const IndexLine walked{chunk.offset,      chunk.end - chunk.offset, (*lines)[i].digest,
                           chunk.header.type, chunk.header.instance,    chunk.header.schema_id,
                           chunk.header.flags};
    if ((*lines)[i] != walked) {
      return corrupt(file_, index, index.meta_offset(),
                     fmt::format("the index disagrees with the header of chunk {}", chunk.name()));
    }
    index_digests_.push_back((*lines)[i].digest);
  }
  return {};
}

Result<ByteVector> ChunkReader::meta(const ChunkRecord& chunk) const {
  ByteVector bytes(chunk.header.meta_size);
  VMSNAP_RETURN_IF_ERROR(file_.read_at(chunk.meta_offset(), bytes));
  if (xxh3_64(bytes) != chunk.header.meta_hash) {
    return corrupt(file_, chunk, chunk.meta_offset(), "the hash of the meta is wrong; the file is damaged");
  }
  return bytes;
}

Result<ByteVector> ChunkReader::body(const ChunkRecord& chunk, std::uint64_t limit) const {
  if (chunk.header.has_leaves()) {
    return Error(ErrorKind::kInvalidState, "a body with leaves is not read whole").in_chunk(chunk.name());
  }
  if (chunk.header.body_size > limit) {
    return at_chunk(
        Error(ErrorKind::kLimitExceeded, fmt::format("the body of {} bytes is larger than the {} expected",
                                                     chunk.header.body_size, limit)),
        file_, chunk, chunk.body_offset());
  }
  ByteVector bytes(chunk.header.body_size);
  VMSNAP_RETURN_IF_ERROR(file_.read_at(chunk.body_offset(), bytes));
  if (xxh3_64(bytes) != chunk.header.body_hash) {
    return corrupt(file_, chunk, chunk.body_offset(), "the hash of the body is wrong; the file is damaged");
  }
  return bytes;
}

Result<void> ChunkReader::check_metas() const {
  RootHasher hasher(header_.uuid);
  const std::uint64_t seed = header_.hash_seed();
  for (std::size_t i = 0; i < index_digests_.size(); ++i) {
    const ChunkRecord& chunk = chunks_[i];
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, meta(chunk));
    const Digest128 digest = chunk_digest(encode(chunk.header, seed, chunk.offset), bytes);
    if (digest != index_digests_[i]) {
      return corrupt(file_, chunk, chunk.offset, "the digest of the chunk is not the one in the index");
    }
    if (chunk.header.type != kChunkEnd) hasher.add(digest);
  }
  if (hasher.root() != footer_.root) {
    return Error(ErrorKind::kCorrupt,
                 "the digests of the chunks do not give the root; the file was changed after "
                 "it was written")
        .in_file(file_.name())
        .at_offset(file_size() - kFooterSize);
  }
  return {};
}

Result<void> ChunkReader::check_padding(const ChunkRecord& chunk) const {
  const auto check = [&](std::uint64_t begin, std::uint64_t end) -> Result<void> {
    auto zero = check_zero(file_, begin, end);
    if (!zero) return std::move(std::move(zero).error().in_chunk(chunk.name()));
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(check(chunk.meta_end(), chunk.body_offset()));
  return check(chunk.body_end(), chunk.end);
}

Result<void> ChunkReader::check_body(const ChunkRecord& chunk) const {
  if (chunk.header.has_leaves()) {
    return Error(ErrorKind::kInvalidState, "a body with leaves is verified by its leaves")
        .in_chunk(chunk.name());
  }
  Xxh3Stream stream;
  ByteVector piece;
  for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kPieceSize, chunk.body_end() - at));
    VMSNAP_RETURN_IF_ERROR(file_.read_at(at, piece));
    stream.update(piece);
  }
  if (stream.digest_64() != chunk.header.body_hash) {
    return corrupt(file_, chunk, chunk.body_offset(), "the hash of the body is wrong; the file is damaged");
  }
  return {};
}

}  // namespace vmsnap
