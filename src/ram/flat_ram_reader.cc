// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "format/digest.h"

namespace vmsnap {
namespace {

constexpr std::uint64_t kPieceSize = 256u << 10;

Error bad_extent(const ChunkRecord& chunk, std::uint64_t begin, std::uint64_t size) {
  return Error(ErrorKind::kCorrupt,
               fmt::format(
                   "{} bytes of guest memory from {:#x} of segment {} do not match their hash; the file is "
                   "damaged",
                   size, begin, chunk.header.instance))
      .at_offset(chunk.body_offset() + begin)
      .in_chunk(chunk.name());
}

/// Verifies a run of extents; one object per thread.
class ExtentVerifier {
 public:
  ExtentVerifier(const File& file, const ChunkRecord& chunk, const FlatRamMeta& meta, ByteView mapping)
      : file_(file),
        chunk_(chunk),
        meta_(meta),
        mapping_(mapping),
        extent_size_(std::uint64_t{1} << meta.extent_shift),
        zero_leaf_(zero_hash(extent_size_)) {}

  Result<void> verify(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t size = chunk_.header.body_size;
    const std::uint64_t body = chunk_.body_offset();
    const std::uint64_t limit = body + std::min(size, last * extent_size_);
    std::optional<FileRange> data = FileRange{body, body};
    for (std::uint64_t i = first; i < last; ++i) {
      const std::uint64_t begin = i * extent_size_;
      const std::uint64_t end = std::min(size, begin + extent_size_);
      if (data && data->end <= body + begin) {
        VMSNAP_ASSIGN_OR_RETURN(data, file_.next_data(body + begin, limit));
      }
      const bool hole = !data || data->begin >= body + end;
      std::uint64_t leaf = 0;
      if (hole) {
        leaf = end - begin == extent_size_ ? zero_leaf_ : zero_hash(end - begin);
      } else if (!mapping_.empty()) {
        leaf = xxh3_64(mapping_.subspan(begin, end - begin));
      } else {
        VMSNAP_ASSIGN_OR_RETURN(leaf, hash_from_file(body + begin, body + end));
      }
      if (leaf != meta_.leaves[i])
        return std::move(bad_extent(chunk_, begin, end - begin).in_file(file_.name()));
    }
    return {};
  }

 private:
  Result<std::uint64_t> hash_from_file(std::uint64_t begin, std::uint64_t end) {
    Xxh3Stream stream;
    for (std::uint64_t at = begin; at < end; at += piece_.size()) {
      piece_.resize(std::min(kPieceSize, end - at));
      VMSNAP_RETURN_IF_ERROR(file_.read_at(at, piece_));
      stream.update(piece_);
    }
    return stream.digest_64();
  }

  const File& file_;
  const ChunkRecord& chunk_;
  const FlatRamMeta& meta_;
  ByteView mapping_;
  std::uint64_t extent_size_;
  std::uint64_t zero_leaf_;
  ByteVector piece_;
};

}  // namespace

Result<FlatRamMeta> read_flat_ram_meta(const ChunkReader& reader, const ChunkRecord& chunk) {
  const auto at_chunk = [&](Error error) {
    error.in_file(reader.file().name()).at_offset(chunk.meta_offset()).in_chunk(chunk.name());
    return error;
  };
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, reader.meta(chunk));
  auto meta = decode_flat_ram(bytes, chunk.header.body_size);
  if (!meta) return at_chunk(std::move(meta).error());
  if (meta->segment != chunk.header.instance) {
    return at_chunk(
        Error(ErrorKind::kCorrupt, fmt::format("the meta belongs to segment {}, the chunk to segment {}",
                                               meta->segment, chunk.header.instance))
            .in_field("segment"));
  }
  if (leaves_hash(meta->leaves) != chunk.header.body_hash) {
    return at_chunk(
        Error(ErrorKind::kCorrupt, "the leaves do not match the body hash of the chunk").in_field("leaves"));
  }
  return meta;
}

Result<Mapping> map_flat_ram(const ChunkReader& reader, const ChunkRecord& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, reader.file().size());
  if (size < chunk.body_end()) {
    return Error(ErrorKind::kTruncated,
                 "the file became shorter since it was opened; do not change snapshots in place")
        .in_file(reader.file().name())
        .at_offset(size)
        .in_chunk(chunk.name());
  }
  return Mapping::private_copy(reader.file(), chunk.body_offset(), chunk.header.body_size);
}

Result<void> verify_flat_ram(const ChunkReader& reader, const ChunkRecord& chunk, const FlatRamMeta& meta,
                             ByteView mapping, unsigned threads) {
  const std::uint64_t extents = extent_count(chunk.header.body_size, meta.extent_shift);
  if (meta.leaves.size() != extents || (!mapping.empty() && mapping.size() != chunk.header.body_size)) {
    return Error(ErrorKind::kUsage, "leaves or mapping belong to another segment").in_chunk(chunk.name());
  }
  const std::uint64_t parts = std::clamp<std::uint64_t>(threads, 1, std::min<std::uint64_t>(extents, 64));
  std::vector<Result<void>> results(parts);
  const auto verify_part = [&](std::uint64_t part) {
    ExtentVerifier verifier(reader.file(), chunk, meta, mapping);
    results[part] = verifier.verify(extents * part / parts, extents * (part + 1) / parts);
  };
  std::vector<std::thread> helpers;
  for (std::uint64_t part = 1; part < parts; ++part) {
    try {
      helpers.emplace_back(verify_part, part);
    } catch (const std::system_error&) {
      verify_part(part);  // no more threads to be had: do it here
    }
  }
  verify_part(0);
  for (std::thread& helper : helpers) helper.join();
  for (Result<void>& result : results) VMSNAP_RETURN_IF_ERROR(std::move(result));
  return {};
}

Result<void> verify_extent(const ChunkRecord& chunk, const FlatRamMeta& meta, ByteView mapping,
                           std::uint64_t segment_offset) {
  if (mapping.size() != chunk.header.body_size || segment_offset >= mapping.size()) {
    return Error(ErrorKind::kUsage, "mapping or offset belong to another segment").in_chunk(chunk.name());
  }
  const std::uint64_t index = segment_offset >> meta.extent_shift;
  const std::uint64_t begin = index << meta.extent_shift;
  const std::uint64_t size =
      std::min<std::uint64_t>(mapping.size() - begin, std::uint64_t{1} << meta.extent_shift);
  if (xxh3_64(mapping.subspan(begin, size)) != meta.leaves[index]) return bad_extent(chunk, begin, size);
  return {};
}

}  // namespace vmsnap
