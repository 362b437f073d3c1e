// SPDX-License-Identifier: BSD-2-Clause
#include "container/salvage.h"

#include <algorithm>
#include <optional>

#include "format/constants.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kPieceSize = 1u << 20;

/// The chunk whose header these bytes are, if they are one.
std::optional<ChunkRecord> chunk_at(ByteView bytes, std::uint64_t seed, std::uint64_t offset) {
  // Nearly all of a search ends here, without a hash.
  if (load_le<std::uint32_t>(bytes, 0) != kChunkSync) return std::nullopt;
  const auto header = decode_chunk_header(bytes.first(kChunkHeaderSize), seed, offset);
  if (!header) return std::nullopt;
  const auto end = chunk_end(*header, offset);
  if (!end) return std::nullopt;
  return ChunkRecord{*header, offset, *end};
}

/// The first chunk at or after `offset`, a multiple of kChunkAlignment.
Result<std::optional<ChunkRecord>> next_chunk(const File& file, std::uint64_t file_size, std::uint64_t seed,
                                              std::uint64_t offset) {
  ByteVector piece;
  while (offset < file_size && file_size - offset >= kChunkHeaderSize) {
    VMSNAP_ASSIGN_OR_RETURN(const auto data, file.next_data(offset, file_size));
    if (!data) return std::optional<ChunkRecord>();
    offset = std::max(offset, data->begin / kChunkAlignment * kChunkAlignment);
    const std::uint64_t left = (file_size - offset) / kChunkAlignment * kChunkAlignment;
    piece.resize(std::min(left, kPieceSize));
    VMSNAP_RETURN_IF_ERROR(file.read_at(offset, piece));
    for (std::size_t at = 0; at < piece.size(); at += kChunkAlignment) {
      if (auto chunk = chunk_at(ByteView(piece).subspan(at), seed, offset + at)) return chunk;
    }
    offset += piece.size();
  }
  return std::optional<ChunkRecord>();
}

}  // namespace

Result<std::vector<ChunkRecord>> find_chunks(const File& file, std::uint64_t file_size,
                                             const FileHeader& header) {
  static_assert(kChunkAlignment == kChunkHeaderSize);
  std::vector<ChunkRecord> chunks;
  const std::uint64_t seed = header.hash_seed();
  std::uint64_t offset = header.encoded_size();
  while (true) {
    VMSNAP_ASSIGN_OR_RETURN(const auto chunk, next_chunk(file, file_size, seed, offset));
    if (!chunk) return chunks;
    offset = chunk->end;
    const bool rises = chunks.empty() || chunk->header.sequence > chunks.back().header.sequence;
    if (rises && chunk->header.sequence < kMaxChunkCount) chunks.push_back(*chunk);
  }
}

}  // namespace vmsnap
