// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_reader.h"

#include <fmt/format.h>

#include <algorithm>

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
    if (is_cut_header(bytes)) return cut_short(file, file_size, "inside its header");
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
  ChunkRules rules(header);
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
    const auto chunk = rules.next(bytes);
    if (!chunk) return stop(chunk.error());
    if (chunk->end > file_size) {
      return stop(cut_short(file, file_size, "inside the chunk").in_chunk(chunk->name()));
    }
    walk.end = chunk->end;
    walk.chunks.push_back(*chunk);
    if (chunk->header.type == kChunkIndex) return walk;
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

Result<ByteVector> read_meta(const File& file, const ChunkRecord& chunk) {
  ByteVector bytes(chunk.header.meta_size);
  VMSNAP_RETURN_IF_ERROR(file.read_at(chunk.meta_offset(), bytes));
  if (xxh3_64(bytes) != chunk.header.meta_hash) {
    return corrupt(file, chunk, chunk.meta_offset(), "the hash of the meta is wrong; the file is damaged");
  }
  return bytes;
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
  auto footer = check_footer(bytes, header, walk.chunks.back());
  if (!footer) return std::move(std::move(footer).error().in_file(file.name()));
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
  const auto in_file = [&](Error error) { return std::move(error.in_file(file_.name())); };
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector end_bytes, meta(end));
  auto root = check_end(end_bytes, end);
  if (!root) return in_file(std::move(root).error());
  if (*root != footer_.root) {
    return corrupt(file_, end, end.meta_offset(), "END disagrees with the footer");
  }
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector index_bytes, meta(index));
  auto digests = check_index(index_bytes, chunks_);
  if (!digests) return in_file(std::move(digests).error());
  index_digests_ = std::move(*digests);
  return {};
}

const ChunkRecord* ChunkReader::find(FourCc type) const {
  const auto found = std::find_if(chunks_.begin(), chunks_.end(),
                                  [&](const ChunkRecord& chunk) { return chunk.header.type == type; });
  return found == chunks_.end() ? nullptr : &*found;
}

Result<ByteVector> ChunkReader::meta(const ChunkRecord& chunk) const {
  return read_meta(file_, chunk);
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

Result<void> ChunkReader::check_metas(const MetaVisitor& visit) const {
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
    if (visit) visit(chunk, bytes);
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
