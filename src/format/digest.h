// SPDX-License-Identifier: BSD-2-Clause
// The digest tree: leaf hashes -> body hash (in the chunk header) -> chunk digest -> root.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/uuid.h"

namespace vmsnap {

/// XXH3-128 over the encoded header and the meta.
[[nodiscard]] Digest128 chunk_digest(ByteView encoded_header, ByteView meta);

/// XXH3-64 over the leaves as little-endian 64-bit words: the body_hash of a chunk with kChunkLeaves.
[[nodiscard]] std::uint64_t leaves_hash(std::span<const std::uint64_t> leaves);

/// XXH3-64 of `size` zero bytes.
[[nodiscard]] std::uint64_t zero_hash(std::uint64_t size);

/// Root of the digest tree: XXH3-128 over the UUID and the digests of the chunks before END, in order.
class RootHasher {
 public:
  explicit RootHasher(const Uuid& uuid);
  void add(const Digest128& digest);
  [[nodiscard]] Digest128 root() const;

 private:
  Xxh3Stream stream_;
};

/// Digest of what guest memory holds, the same in every encoding (docs/format.md, section 9.3): for each
/// segment in order of its id, add_segment() and then all of its leaves.
class MemoryHasher {
 public:
  void add_segment(std::uint64_t size, std::uint8_t extent_shift);
  /// The next leaves, in order.
  void add_leaves(std::span<const std::uint64_t> leaves);
  [[nodiscard]] Digest128 digest() const { return stream_.digest_128(); }

 private:
  Xxh3Stream stream_;
};

}  // namespace vmsnap
