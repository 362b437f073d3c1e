// SPDX-License-Identifier: BSD-2-Clause
// What the framing of a snapshot must obey, whether it is walked in a file or read from a stream.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "format/chunk_header.h"
#include "format/file_header.h"
#include "format/footer.h"

namespace vmsnap {

/// A chunk as found by following the chunk headers.
struct ChunkRecord {
  ChunkHeader header;
  std::uint64_t offset = 0;  // of the chunk header
  std::uint64_t end = 0;     // first byte after the chunk, padding included

  [[nodiscard]] std::uint64_t meta_offset() const { return offset + kChunkHeaderSize; }
  [[nodiscard]] std::uint64_t meta_end() const { return meta_offset() + header.meta_size; }
  [[nodiscard]] std::uint64_t body_offset() const { return meta_end() + header.gap; }
  [[nodiscard]] std::uint64_t body_end() const { return body_offset() + header.body_size; }
  /// "UART#17", for errors.
  [[nodiscard]] std::string name() const { return chunk_name(header.type, header.sequence); }
};

/// Adds to an error about the meta of a chunk where that meta is.
[[nodiscard]] Error in_meta(Error error, const ChunkRecord& chunk);

/// The alignment of a chunk's body in a file with that header; of foreign chunks, the least there is.
[[nodiscard]] std::uint64_t body_alignment(const ChunkHeader& header, const FileHeader& file_header);

/// Follows chunk headers from the front: hashes, sequence numbers, order, role, alignment. Not thread-safe.
class ChunkRules {
 public:
  /// `header` must outlive it.
  explicit ChunkRules(const FileHeader& header);

  /// Takes the header of the next chunk, which stands where the one before ends. Nothing is known yet about
  /// whether the rest of the chunk is there. Errors: Corrupt, with offset and chunk; nothing may be taken
  /// after one.
  [[nodiscard]] Result<ChunkRecord> next(const EncodedChunkHeader& bytes);

 private:
  /// Goes on to `header`: the sentence that says what is wrong with it at this place, or nothing.
  [[nodiscard]] std::optional<std::string> follow(const ChunkHeader& header);
  [[nodiscard]] std::optional<std::string> wrong_schema(const ChunkHeader& header) const;

  const FileHeader& header_;
  std::uint64_t seed_;
  std::uint64_t offset_;
  std::uint32_t count_ = 0;
  std::set<std::uint32_t> schema_ids_;
  bool manifest_seen_ = false;
  bool memory_map_seen_ = false;
  bool lost_seen_ = false;
  bool end_seen_ = false;
};

/// Checks the meta of END, whose hash is verified, and returns the root it states. Errors: Corrupt,
/// LimitExceeded.
[[nodiscard]] Result<Digest128> check_end(ByteView meta, const ChunkRecord& end);

/// Checks the meta of INDX, whose hash is verified, against `chunks`, of which INDX is the last. Returns the
/// digests it states for the others; they are not verified. Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<std::vector<Digest128>> check_index(ByteView meta, std::span<const ChunkRecord> chunks);

/// Checks the kFooterSize bytes that follow INDX, except the root, and that a file that ends with them has
/// the size they state. Errors: Corrupt.
[[nodiscard]] Result<Footer> check_footer(ByteView bytes, const FileHeader& header, const ChunkRecord& index);

}  // namespace vmsnap
