// SPDX-License-Identifier: BSD-2-Clause
// Reads the framing of a snapshot and proves it whole. Every byte of the file is hostile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/result.h"
#include "container/chunk_rules.h"
#include "format/chunk_header.h"
#include "format/file_header.h"
#include "format/footer.h"

namespace vmsnap {

/// The result of following the chunk headers from the front.
struct ChunkWalk {
  std::vector<ChunkRecord> chunks;  // every chunk that lies wholly in the file and whose header verifies
  std::uint64_t end = 0;            // where the walk stopped: after INDX, or where `stopped` applies
  std::optional<Error> stopped;     // why the walk did not reach INDX: Truncated, Corrupt or Io
};

/// Reads and checks the file header. Errors: Io, Truncated, Corrupt, Unsupported (see decode_file_header).
[[nodiscard]] Result<FileHeader> read_file_header(const File& file, std::uint64_t file_size);

/// Walks the chunk headers of a file, reading nothing else: for readers, and for tools that save what is left
/// of a damaged file. Checks hashes, sequence numbers, alignment, and the rules of order that headers tell.
[[nodiscard]] ChunkWalk walk_chunks(const File& file, std::uint64_t file_size, const FileHeader& header);

/// Checks that the bytes [begin, end) are zero; holes are not read. Errors: Io; Corrupt with the offset.
[[nodiscard]] Result<void> check_zero(const File& file, std::uint64_t begin, std::uint64_t end);

/// The meta of a chunk, copied to the heap (aligned for FlatBuffers), its hash verified. Errors: Io,
/// Truncated, Corrupt.
[[nodiscard]] Result<ByteVector> read_meta(const File& file, const ChunkRecord& chunk);

/// An open snapshot whose framing is sound: header, all chunk headers, END, INDX and footer verify and agree.
/// Metas and bodies of other chunks are read and verified when asked for. Move-only. Const member functions
/// are thread-safe.
class ChunkReader {
 public:
  /// Errors: Io; Truncated (incomplete save or copy); Corrupt; Unsupported (major, features, codec, flags).
  /// A file that is both damaged and unsupported is reported as damaged wherever that can be told.
  [[nodiscard]] static Result<ChunkReader> open(File file);

  [[nodiscard]] const File& file() const { return file_; }
  [[nodiscard]] std::uint64_t file_size() const { return footer_.file_size; }
  [[nodiscard]] const FileHeader& header() const { return header_; }
  [[nodiscard]] const Footer& footer() const { return footer_; }
  /// Every chunk in file order, END and INDX included; position = sequence number.
  [[nodiscard]] std::span<const ChunkRecord> chunks() const { return chunks_; }

  /// The first chunk of that type, or nullptr. Lives as long as the reader.
  [[nodiscard]] const ChunkRecord* find(FourCc type) const;

  /// As read_meta().
  [[nodiscard]] Result<ByteVector> meta(const ChunkRecord& chunk) const;
  /// The body, its hash verified, for bodies of at most `limit` bytes without leaves. Errors: Io, Corrupt;
  /// LimitExceeded; InvalidState (the chunk has leaves).
  [[nodiscard]] Result<ByteVector> body(const ChunkRecord& chunk, std::uint64_t limit) const;

  /// Called with a chunk and its meta, whose hash is verified and which is gone afterwards.
  using MetaVisitor = std::function<void(const ChunkRecord& chunk, ByteView meta)>;
  /// Reads and verifies every meta, and with them the root and the digests of the index. One meta is held at
  /// a time, and shown to `visit`, if given, before the root is known. Errors: Io, Corrupt.
  [[nodiscard]] Result<void> check_metas(const MetaVisitor& visit = {}) const;
  /// Checks that gap and padding of a chunk are zero. Errors: Io, Corrupt.
  [[nodiscard]] Result<void> check_padding(const ChunkRecord& chunk) const;
  /// Verifies the body of a chunk without leaves against its hash, reading it piecewise. Errors: Io, Corrupt.
  [[nodiscard]] Result<void> check_body(const ChunkRecord& chunk) const;

 private:
  ChunkReader(File file, FileHeader header, Footer footer, std::vector<ChunkRecord> chunks)
      : file_(std::move(file)), header_(std::move(header)), footer_(footer), chunks_(std::move(chunks)) {}

  [[nodiscard]] Result<void> load_index();

  File file_;
  FileHeader header_;
  Footer footer_;
  std::vector<ChunkRecord> chunks_;
  std::vector<Digest128> index_digests_;
};

}  // namespace vmsnap
