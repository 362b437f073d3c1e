// SPDX-License-Identifier: BSD-2-Clause
#include "format/digest.h"

#include <algorithm>
#include <array>

namespace vmsnap {

Digest128 chunk_digest(ByteView encoded_header, ByteView meta) {
  Xxh3Stream stream;
  stream.update(encoded_header);
  stream.update(meta);
  return stream.digest_128();
}

std::uint64_t leaves_hash(std::span<const std::uint64_t> leaves) {
  return xxh3_64(std::as_bytes(leaves));  // the host is little-endian (base/bytes.h)
}

std::uint64_t zero_hash(std::uint64_t size) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  Xxh3Stream stream;
  while (size > 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(size, kZeros.size());
    stream.update(ByteView(kZeros).first(piece));
    size -= piece;
  }
  return stream.digest_64();
}

RootHasher::RootHasher(const Uuid& uuid) {
  stream_.update(uuid.bytes);
}

void RootHasher::add(const Digest128& digest) {
  stream_.update(digest.bytes);
}

Digest128 RootHasher::root() const {
  return stream_.digest_128();
}

void MemoryHasher::add_segment(std::uint64_t size, std::uint8_t extent_shift) {
  std::array<std::byte, 16> head;
  store_le(MutableByteView(head), 0, size);
  store_le(MutableByteView(head), 8, std::uint64_t{extent_shift});
  stream_.update(head);
}

void MemoryHasher::add_leaves(std::span<const std::uint64_t> leaves) {
  stream_.update(std::as_bytes(leaves));  // the host is little-endian (base/bytes.h)
}

}  // namespace vmsnap
