// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_writer.h"

#include <fmt/format.h>

#include <limits>

#include "base/checked.h"
#include "format/digest.h"
#include "format/footer.h"

namespace vmsnap {

ChunkWriter::ChunkWriter(const File& file, FileHeader header)
    : file_(&file),
      header_(std::move(header)),
      seed_(header_.hash_seed()),
      position_(header_.encoded_size()) {}

Result<ChunkWriter> ChunkWriter::begin(const File& file, const FileHeader& header) {
  ChunkWriter writer(file, header);
  VMSNAP_RETURN_IF_ERROR(file.write_at(0, encode(header)));
  return writer;
}

Result<ChunkHeader> ChunkWriter::next_header(const ChunkSpec& spec, std::size_t meta_size) const {
  ChunkHeader header;
  header.type = spec.type;
  header.flags = spec.flags;
  header.sequence = static_cast<std::uint32_t>(index_.size());
  header.schema_id = spec.schema_id;
  header.instance = spec.instance;
  const auto name = [&] { return chunk_name(spec.type, header.sequence); };
  if (reserved_) {
    return Error(ErrorKind::kInternal, "a reserved chunk was not committed before the next call")
        .in_chunk(name());
  }
  if (!spec.type.is_printable() || (spec.schema_id == 0) != (spec.type == kChunkSchema) ||
      unsupported_flags(header)) {
    return Error(ErrorKind::kUsage, "type, flags or schema id of the chunk are not what the format allows")
        .in_chunk(name());
  }
  if (meta_size > kMaxMetaSize) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the meta of {} bytes is larger than the 16 MiB that the format allows",
                             meta_size))
        .in_chunk(name());
  }
  if (index_.size() >= kMaxChunkCount) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("a snapshot cannot have more than {} chunks", kMaxChunkCount))
        .in_chunk(name());
  }
  header.meta_size = static_cast<std::uint32_t>(meta_size);
  return header;
}

Result<void> ChunkWriter::write_head(const ChunkHeader& header, std::uint64_t offset, ByteView meta,
                                     std::uint64_t end) {
  const EncodedChunkHeader encoded = encode(header, seed_, offset);
  // One write for the head and, when there is no body, for the padding behind it.
  ByteVector bytes(encoded.begin(), encoded.end());
  bytes.insert(bytes.end(), meta.begin(), meta.end());
  if (header.body_size == 0) bytes.resize(end - offset);
  VMSNAP_RETURN_IF_ERROR(file_->write_at(offset, bytes));
  index_.push_back({offset, end - offset, chunk_digest(encoded, meta), header.type, header.instance,
                    header.schema_id, header.flags});
  position_ = end;
  return {};
}

Result<void> ChunkWriter::append(const ChunkSpec& spec, ByteView meta, ByteView body) {
  if (!body.empty()) {
    if (meta.size() > kMaxMetaSize) return next_header(spec, meta.size()).error();
    VMSNAP_ASSIGN_OR_RETURN(
        const ChunkReservation reservation,
        reserve(spec, static_cast<std::uint32_t>(meta.size()), body.size(), kChunkAlignment));
    // Gap and padding stay unwritten: the next chunk grows the file past them, and they read as zero.
    VMSNAP_RETURN_IF_ERROR(file_->write_at(reservation.body_offset, body));
    return commit(reservation, meta, xxh3_64(body));
  }
  VMSNAP_ASSIGN_OR_RETURN(ChunkHeader header, next_header(spec, meta.size()));
  header.meta_hash = xxh3_64(meta);
  header.body_hash = xxh3_64({});
  const auto end = chunk_end(header, position_);
  if (!end) return Error(ErrorKind::kLimitExceeded, "the file would become too large");
  return write_head(header, position_, meta, *end);
}

Result<ChunkReservation> ChunkWriter::reserve(const ChunkSpec& spec, std::uint32_t meta_size,
                                              std::uint64_t body_size, std::uint64_t alignment) {
  VMSNAP_ASSIGN_OR_RETURN(ChunkHeader header, next_header(spec, meta_size));
  const std::uint64_t meta_end = position_ + kChunkHeaderSize + meta_size;
  const auto body_offset = checked_align_up(meta_end, alignment);
  if (body_size == 0 || !body_offset || alignment > std::uint64_t{1} << kMaxBodyAlignShift) {
    return Error(ErrorKind::kUsage, "the size or the alignment of the body is impossible")
        .in_chunk(chunk_name(spec.type, header.sequence));
  }
  header.gap = static_cast<std::uint32_t>(*body_offset - meta_end);
  header.body_size = body_size;
  if (const auto end = chunk_end(header, position_);
      !end || *end > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Error(ErrorKind::kLimitExceeded, "the file would become too large")
        .in_chunk(chunk_name(spec.type, header.sequence));
  }
  reserved_ = true;
  return ChunkReservation{header, position_, *body_offset};
}

Result<void> ChunkWriter::commit(const ChunkReservation& reservation, ByteView meta,
                                 std::uint64_t body_hash) {
  ChunkHeader header = reservation.header;
  if (!reserved_ || reservation.offset != position_ || meta.size() != header.meta_size) {
    return Error(ErrorKind::kInternal, "the meta has another size than was reserved for it")
        .in_chunk(chunk_name(header.type, header.sequence));
  }
  reserved_ = false;
  header.meta_hash = xxh3_64(meta);
  header.body_hash = body_hash;
  return write_head(header, reservation.offset, meta, *chunk_end(header, reservation.offset));
}

Result<WrittenFile> ChunkWriter::finish(std::uint32_t end_schema_id, std::uint32_t index_schema_id) {
  RootHasher hasher(header_.uuid);
  for (const IndexLine& line : index_) hasher.add(line.digest);
  const Digest128 root = hasher.root();
  const EndMeta end{static_cast<std::uint32_t>(index_.size()), root};
  VMSNAP_RETURN_IF_ERROR(append({kChunkEnd, end_schema_id}, encode(end)));
  const std::uint64_t index_offset = position_;
  VMSNAP_RETURN_IF_ERROR(append({kChunkIndex, index_schema_id}, encode_index(index_)));
  const Footer footer{root, index_offset, position_ + kFooterSize, static_cast<std::uint32_t>(index_.size())};
  VMSNAP_RETURN_IF_ERROR(file_->write_at(position_, encode(footer, seed_)));
  return WrittenFile{root, footer.file_size, footer.chunk_count};
}

}  // namespace vmsnap
