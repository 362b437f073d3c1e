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

/// Looks for chunk headers with rising offsets. Remembers where the data is that it looks through, since to
/// ask for it can take as long as there is data.
class HeaderSearch {
 public:
  HeaderSearch(const File& file, std::uint64_t file_size, std::uint64_t seed)
      : file_(file), file_size_(file_size), seed_(seed) {}

  /// The first chunk at or after `offset`, a multiple of kChunkAlignment.
  Result<std::optional<ChunkRecord>> next(std::uint64_t offset) {
    ByteVector piece;
    while (offset < file_size_ && file_size_ - offset >= kChunkHeaderSize) {
      if (offset >= data_.end) {
        VMSNAP_ASSIGN_OR_RETURN(const auto data, file_.next_data(offset, file_size_));
        if (!data) return std::optional<ChunkRecord>();
        data_ = *data;
      }
      offset = std::max(offset, data_.begin / kChunkAlignment * kChunkAlignment);
      // A header that begins with data may end in a hole.
      const std::uint64_t end = std::min(file_size_, data_.end + kChunkAlignment - 1);
      const std::uint64_t size = (end - offset) / kChunkAlignment * kChunkAlignment;
      if (size == 0) return std::optional<ChunkRecord>();
      piece.resize(std::min(size, kPieceSize));
      VMSNAP_RETURN_IF_ERROR(file_.read_at(offset, piece));
      for (std::size_t at = 0; at < piece.size(); at += kChunkAlignment) {
        if (auto chunk = chunk_at(ByteView(piece).subspan(at), seed_, offset + at)) return chunk;
      }
      offset += piece.size();
    }
    return std::optional<ChunkRecord>();
  }

 private:
  const File& file_;
  std::uint64_t file_size_;
  std::uint64_t seed_;
  FileRange data_;
};

}  // namespace

Result<std::vector<ChunkRecord>> find_chunks(const File& file, std::uint64_t file_size,
                                             const FileHeader& header) {
  static_assert(kChunkAlignment == kChunkHeaderSize);
  std::vector<ChunkRecord> chunks;
  HeaderSearch search(file, file_size, header.hash_seed());
  std::uint64_t offset = header.encoded_size();
  while (true) {
    VMSNAP_ASSIGN_OR_RETURN(const auto chunk, search.next(offset));
    if (!chunk) return chunks;
    offset = chunk->end;
    const bool rises = chunks.empty() || chunk->header.sequence > chunks.back().header.sequence;
    if (rises && chunk->header.sequence < kMaxChunkCount) chunks.push_back(*chunk);
  }
}

}  // namespace vmsnap
