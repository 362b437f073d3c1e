// SPDX-License-Identifier: BSD-2-Clause
// Writes the framing of a snapshot, front to back.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/sink.h"
#include "container/index.h"
#include "format/chunk_header.h"
#include "format/file_header.h"

namespace vmsnap {

/// What the caller says about a chunk; the writer knows the rest.
struct ChunkSpec {
  FourCc type;
  std::uint32_t schema_id = 0;
  std::uint32_t instance = 0;
  std::uint32_t flags = kChunkCritical;
};

/// A chunk whose body is being written by someone else, directly to the file. Filled in by
/// ChunkWriter::reserve(), given back to ChunkWriter::commit().
struct ChunkReservation {
  ChunkHeader header;
  std::uint64_t offset = 0;       // of the chunk header
  std::uint64_t body_offset = 0;  // where the body's bytes belong
};

/// What finish() reports.
struct WrittenFile {
  Digest128 root;
  std::uint64_t size = 0;         // bytes
  std::uint32_t chunk_count = 0;  // END and INDX included
};

/// The body of a chunk that is written in one go.
struct ChunkBody {
  std::span<const ByteView> pieces;           // one after the other; not empty
  std::uint64_t alignment = kChunkAlignment;  // a power of two, at least kChunkAlignment
  std::uint64_t hash = 0;                     // as the chunk's flags demand
};

/// The body of a chunk that its source writes piece by piece.
struct StreamedBody {
  std::uint64_t size = 0;                          // bytes, not 0
  std::uint64_t hash = 0;                          // as the chunk's flags demand
  std::function<Result<void>(Sink& sink)> source;  // writes exactly `size` bytes
  std::uint64_t alignment = kChunkAlignment;       // a power of two, at least kChunkAlignment
  bool has_holes = false;                          // the source may skip much of it
};

/// Writes one snapshot into an empty sink. Calls: begin(), then append() or reserve()+commit() for each
/// chunk, then finish(); other chunks may be appended or reserved before a reserved one is committed. After
/// an error the sink is unusable and must be thrown away. Not thread-safe.
///
/// The order of chunk types and what is in a meta are the caller's affair; sequence numbers, hashes, gaps,
/// padding, END, INDX and footer are the writer's.
class ChunkWriter {
 public:
  /// Writes the file header. `sink` must outlive the writer and be empty. Errors: Io.
  [[nodiscard]] static Result<ChunkWriter> begin(Sink& sink, const FileHeader& header);

  ChunkWriter(ChunkWriter&&) = default;

  /// Writes a whole chunk; the body, if any, begins at a multiple of kChunkAlignment.
  /// Errors: Io; LimitExceeded (meta over 16 MiB, too many chunks); Usage (type or flags impossible).
  [[nodiscard]] Result<void> append(const ChunkSpec& spec, ByteView meta, ByteView body = {});

  /// Writes a whole chunk whose body goes to the sink straight from where it is. Errors: as append().
  [[nodiscard]] Result<void> append(const ChunkSpec& spec, ByteView meta, const ChunkBody& body);

  /// Writes a whole chunk whose body need not be in memory at once. Errors: as append(); those of the source;
  /// Internal (it wrote another number of bytes).
  [[nodiscard]] Result<void> append(const ChunkSpec& spec, ByteView meta, const StreamedBody& body);

  /// Leaves room for a chunk whose meta has exactly `meta_size` bytes and whose body of `body_size` (not 0)
  /// bytes begins at a multiple of `alignment` (a power of two, at least kChunkAlignment). Bytes of the body
  /// that are never written are a hole, which reads as zero. commit() must follow before finish(). Only
  /// for a sink with a file behind it: otherwise Usage. Errors beyond that: as append().
  [[nodiscard]] Result<ChunkReservation> reserve(const ChunkSpec& spec, std::uint32_t meta_size,
                                                 std::uint64_t body_size, std::uint64_t alignment);
  /// Writes header and meta of a reserved chunk. `body_hash` as the chunk's flags demand. Errors: Io;
  /// Internal (the meta has another size than reserved, or the chunk was committed before).
  [[nodiscard]] Result<void> commit(const ChunkReservation& reservation, ByteView meta,
                                    std::uint64_t body_hash);

  /// Writes END, INDX (with the ids of their schemas) and the footer. Does not sync. Errors: as append();
  /// Internal (a reserved chunk was not committed).
  [[nodiscard]] Result<WrittenFile> finish(std::uint32_t end_schema_id, std::uint32_t index_schema_id);

  /// Every chunk so far, in order; those that are reserved only have size 0.
  [[nodiscard]] const std::vector<IndexLine>& written() const { return index_; }
  [[nodiscard]] const FileHeader& header() const { return header_; }
  [[nodiscard]] const Sink& sink() const { return *sink_; }

 private:
  ChunkWriter(Sink& sink, FileHeader header);

  [[nodiscard]] Result<ChunkHeader> next_header(const ChunkSpec& spec, std::size_t meta_size) const;
  /// Gives the header a body at the first multiple of `alignment` after the meta.
  [[nodiscard]] Result<void> place_body(ChunkHeader& header, std::uint64_t size,
                                        std::uint64_t alignment) const;
  /// Where the chunk ends that begins at position().
  [[nodiscard]] Result<std::uint64_t> end_of(const ChunkHeader& header) const;

  struct Head {
    EncodedChunkHeader header;
    IndexLine line;
  };
  /// What stands for a chunk at [offset, end) in the file and in the index.
  [[nodiscard]] Head make_head(ChunkHeader header, std::uint64_t offset, std::uint64_t end, ByteView meta,
                               std::uint64_t body_hash) const;
  /// Writes header and meta. The line of the index is for end_chunk(), once the body is written.
  [[nodiscard]] Result<IndexLine> begin_chunk(const ChunkHeader& header, ByteView meta,
                                              std::uint64_t body_hash);
  /// Gives the file behind the sink, if any, its size up to `end` (not below what it has).
  [[nodiscard]] Result<void> extend_file(std::uint64_t end);
  /// Skips what is left of the chunk.
  [[nodiscard]] Result<void> end_chunk(const IndexLine& line);

  Sink* sink_;
  FileHeader header_;
  std::uint64_t seed_;
  std::vector<IndexLine> index_;
};

}  // namespace vmsnap
