// SPDX-License-Identifier: BSD-2-Clause
// Takes apart a snapshot that comes front to back: what reading and copying a stream share.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/stream.h"
#include "container/chunk_rules.h"
#include "format/file_header.h"
#include "snapshot/directory.h"

namespace vmsnap {

/// Follows the chunks of a stream and verifies everything but the content of memory: framing, metas, schemas,
/// paddings, index, root, footer, that nothing comes after it, and that the chunks are those that manifest
/// and memory map promise. Errors name chunk and offset, not the stream. Not thread-safe.
class SnapshotStream {
 public:
  /// `source` must outlive this object.
  explicit SnapshotStream(StreamSource& source) : source_(source) {}
  SnapshotStream(const SnapshotStream&) = delete;
  SnapshotStream& operator=(const SnapshotStream&) = delete;

  /// Reads the file header. Errors: Io, Truncated, Corrupt, Unsupported.
  [[nodiscard]] Result<void> begin();
  /// Goes on to the next chunk before END, and reads its meta and, of a schema, the body. The body of the
  /// chunk before must have been read. False at the end, when all is verified. Errors: Io, Truncated,
  /// Corrupt, Unsupported, LimitExceeded.
  [[nodiscard]] Result<bool> next();

  [[nodiscard]] const FileHeader& header() const { return header_; }
  /// Every chunk so far; the last one is chunk(). Invalidated by next().
  [[nodiscard]] std::span<const ChunkRecord> chunks() const { return chunks_; }
  [[nodiscard]] const ChunkRecord& chunk() const { return chunks_.back(); }
  /// The meta of chunk(), and of a schema its body, verified; to be moved away by who wants to keep them.
  [[nodiscard]] ByteVector& meta() { return meta_; }
  [[nodiscard]] ByteVector& schema_body() { return schema_body_; }
  /// True when neither the container nor the manifest tells what chunk() is.
  [[nodiscard]] bool is_unknown() const;
  /// Reads the body of chunk(), of which is_unknown() is true, and verifies it as far as it can be; hands it
  /// to `take` piece by piece before that. Errors: Io, Truncated, Corrupt; those of `take`.
  [[nodiscard]] Result<void> read_body(const std::function<Result<void>(ByteView)>& take);

  [[nodiscard]] const SnapshotDirectory& directory() const { return directory_; }
  /// At the end.
  [[nodiscard]] const Digest128& root() const { return root_; }

 private:
  [[nodiscard]] Result<void> read_head();
  [[nodiscard]] Result<void> take();
  [[nodiscard]] Result<void> take_schema();
  [[nodiscard]] Result<void> take_other();
  [[nodiscard]] Result<void> take_index();
  /// Reads the bytes up to `end`, which must be zero.
  [[nodiscard]] Result<void> skip_zeros(std::uint64_t end);

  StreamSource& source_;
  FileHeader header_;
  std::optional<ChunkRules> rules_;
  SnapshotDirectory directory_;
  std::vector<ChunkRecord> chunks_;  // by sequence number
  std::vector<Digest128> digests_;   // by sequence number
  ByteVector meta_;
  ByteVector schema_body_;
  Digest128 root_;
  bool complete_ = false;
  std::array<std::byte, 64u << 10> piece_{};
};

}  // namespace vmsnap
