// SPDX-License-Identifier: BSD-2-Clause
#include "format/chunk_header.h"

#include <fmt/format.h>

#include "base/checked.h"
#include "base/hash.h"

namespace vmsnap {
namespace {

constexpr std::size_t kSyncAt = 0;
constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kFlagsAt = 8;
constexpr std::size_t kSequenceAt = 12;
constexpr std::size_t kSchemaIdAt = 16;
constexpr std::size_t kInstanceAt = 20;
constexpr std::size_t kMetaSizeAt = 24;
constexpr std::size_t kGapAt = 28;
constexpr std::size_t kBodySizeAt = 32;
constexpr std::size_t kMetaHashAt = 40;
constexpr std::size_t kBodyHashAt = 48;
constexpr std::size_t kHashAt = 56;

std::uint64_t header_hash(ByteView bytes, std::uint64_t seed, std::uint64_t offset) {
  std::array<std::byte, sizeof offset + kHashAt> covered;
  store_le(MutableByteView(covered), 0, offset);
  std::memcpy(covered.data() + sizeof offset, bytes.data(), kHashAt);
  return xxh3_64(covered, seed);
}

}  // namespace

EncodedChunkHeader encode(const ChunkHeader& header, std::uint64_t seed, std::uint64_t offset) {
  EncodedChunkHeader bytes{};
  const MutableByteView view(bytes);
  store_le(view, kSyncAt, kChunkSync);
  store_le(view, kTypeAt, header.type.value());
  store_le(view, kFlagsAt, header.flags);
  store_le(view, kSequenceAt, header.sequence);
  store_le(view, kSchemaIdAt, header.schema_id);
  store_le(view, kInstanceAt, header.instance);
  store_le(view, kMetaSizeAt, header.meta_size);
  store_le(view, kGapAt, header.gap);
  store_le(view, kBodySizeAt, header.body_size);
  store_le(view, kMetaHashAt, header.meta_hash);
  store_le(view, kBodyHashAt, header.body_hash);
  store_le(view, kHashAt, header_hash(view, seed, offset));
  return bytes;
}

Result<ChunkHeader> decode_chunk_header(ByteView bytes, std::uint64_t seed, std::uint64_t offset) {
  const auto corrupt = [&](std::string message) {
    return Error(ErrorKind::kCorrupt, std::move(message)).at_offset(offset);
  };
  if (bytes.size() != kChunkHeaderSize) {
    return Error(ErrorKind::kInternal, "a chunk header was not given whole").at_offset(offset);
  }
  if (load_le<std::uint32_t>(bytes, kSyncAt) != kChunkSync) {
    if (is_all_zero(bytes))
      return corrupt("there are zeros where a chunk header belongs; the file is damaged");
    return corrupt("there is no chunk header where one belongs; the file is damaged");
  }
  if (load_le<std::uint64_t>(bytes, kHashAt) != header_hash(bytes, seed, offset)) {
    return corrupt("the hash of the chunk header is wrong: it is damaged, or belongs elsewhere");
  }
  ChunkHeader header;
  header.type = FourCc(load_le<std::uint32_t>(bytes, kTypeAt));
  header.flags = load_le<std::uint32_t>(bytes, kFlagsAt);
  header.sequence = load_le<std::uint32_t>(bytes, kSequenceAt);
  header.schema_id = load_le<std::uint32_t>(bytes, kSchemaIdAt);
  header.instance = load_le<std::uint32_t>(bytes, kInstanceAt);
  header.meta_size = load_le<std::uint32_t>(bytes, kMetaSizeAt);
  header.gap = load_le<std::uint32_t>(bytes, kGapAt);
  header.body_size = load_le<std::uint64_t>(bytes, kBodySizeAt);
  header.meta_hash = load_le<std::uint64_t>(bytes, kMetaHashAt);
  header.body_hash = load_le<std::uint64_t>(bytes, kBodyHashAt);
  const auto in_chunk = [&](std::string message) {
    return corrupt(std::move(message)).in_chunk(chunk_name(header.type, header.sequence));
  };
  if (!header.type.is_printable()) return in_chunk("the type of the chunk is not four printable letters");
  if (header.meta_size > kMaxMetaSize) {
    return in_chunk(fmt::format("the meta of {} bytes is larger than the 16 MiB that the format allows",
                                header.meta_size));
  }
  if ((header.schema_id == 0) != (header.type == kChunkSchema)) {
    return in_chunk("SCHM chunks, and no others, have schema id 0");
  }
  if (header.body_size == 0 && (header.gap != 0 || header.has_leaves() || header.body_hash != xxh3_64({}))) {
    return in_chunk("the chunk has no body, but a gap, a hash or leaves for one");
  }
  if (header.gap >= std::uint64_t{1} << kMaxBodyAlignShift) {
    return in_chunk(fmt::format("the gap of {} bytes is larger than any alignment asks for", header.gap));
  }
  return header;
}

std::optional<Error> unsupported_flags(const ChunkHeader& header) {
  const bool known_codec =
      header.codec() == kCodecNone || (header.codec() == kCodecLz4 && header.type == kChunkExtentRam);
  if (!known_codec) {
    return Error(ErrorKind::kUnsupported, fmt::format("the body of the chunk is encoded with codec {}, which "
                                                      "this build does not support in chunks "
                                                      "of this type; use a newer version",
                                                      header.codec()))
        .in_chunk(chunk_name(header.type, header.sequence));
  }
  if ((header.flags & ~(kChunkKnownFlags | kChunkCodecMask)) != 0) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format(
                     "the chunk has flags {:#x}, of which this build knows {:#x} only; use a newer version",
                     header.flags, kChunkKnownFlags))
        .in_chunk(chunk_name(header.type, header.sequence));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> chunk_end(const ChunkHeader& header, std::uint64_t offset) {
  const auto head =
      checked_add<std::uint64_t>(offset, kChunkHeaderSize + std::uint64_t{header.meta_size} + header.gap);
  if (!head) return std::nullopt;
  const auto body = checked_add(*head, header.body_size);
  if (!body) return std::nullopt;
  const auto end = checked_align_up(*body, kChunkAlignment);
  if (!end || *end > kMaxFileSize) return std::nullopt;
  return end;
}

std::string chunk_name(FourCc type, std::uint32_t sequence) {
  return fmt::format("{}#{}", type.to_string(), sequence);
}

}  // namespace vmsnap
