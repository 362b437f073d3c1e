// SPDX-License-Identifier: BSD-2-Clause
#include "container/chunk_writer.h"

#include <fmt/format.h>

#include <array>

#include "base/checked.h"
#include "format/digest.h"
#include "format/footer.h"

namespace vmsnap {

ChunkWriter::ChunkWriter(Sink& sink, FileHeader header)
    : sink_(&sink), header_(std::move(header)), seed_(header_.hash_seed()) {}

Result<ChunkWriter> ChunkWriter::begin(Sink& sink, const FileHeader& header) {
  ChunkWriter writer(sink, header);
  VMSNAP_RETURN_IF_ERROR(sink.write(encode(header)));
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

Result<void> ChunkWriter::place_body(ChunkHeader& header, std::uint64_t size, std::uint64_t alignment) const {
  const std::uint64_t meta_end = sink_->position() + kChunkHeaderSize + header.meta_size;
  const auto body_offset = checked_align_up(meta_end, alignment);
  if (size == 0 || !body_offset || alignment < kChunkAlignment ||
      alignment > std::uint64_t{1} << kMaxBodyAlignShift) {
    return Error(ErrorKind::kUsage, "the size or the alignment of the body is impossible")
        .in_chunk(chunk_name(header.type, header.sequence));
  }
  header.gap = static_cast<std::uint32_t>(*body_offset - meta_end);
  header.body_size = size;
  return {};
}

Result<std::uint64_t> ChunkWriter::end_of(const ChunkHeader& header) const {
  const auto end = chunk_end(header, sink_->position());
  if (end) return *end;
  return Error(ErrorKind::kLimitExceeded, "the file would become too large")
      .in_chunk(chunk_name(header.type, header.sequence));
}

ChunkWriter::Head ChunkWriter::make_head(ChunkHeader header, std::uint64_t offset, std::uint64_t end,
                                         ByteView meta, std::uint64_t body_hash) const {
  header.meta_hash = xxh3_64(meta);
  header.body_hash = body_hash;
  const EncodedChunkHeader encoded = encode(header, seed_, offset);
  return {encoded,
          {offset, end - offset, chunk_digest(encoded, meta), header.type, header.instance, header.schema_id,
           header.flags}};
}

Result<IndexLine> ChunkWriter::begin_chunk(const ChunkHeader& header, ByteView meta,
                                           std::uint64_t body_hash) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t end, end_of(header));
  const Head head = make_head(header, sink_->position(), end, meta, body_hash);
  const std::array<ByteView, 2> pieces = {head.header, meta};
  VMSNAP_RETURN_IF_ERROR(sink_->write(pieces));
  return head.line;
}

Result<void> ChunkWriter::extend_file(std::uint64_t end) {
  // Where a file grows, XFS allocates more than was written, and keeps what lies below the end of the file in
  // the end: holes would take up space. It does not below the end that the file has already.
  const File* file = sink_->seekable();
  return file == nullptr ? Result<void>() : file->truncate(end);
}

Result<void> ChunkWriter::end_chunk(const IndexLine& line) {
  VMSNAP_RETURN_IF_ERROR(sink_->skip(line.offset + line.size - sink_->position()));
  index_.push_back(line);
  return {};
}

Result<void> ChunkWriter::append(const ChunkSpec& spec, ByteView meta, ByteView body) {
  if (!body.empty()) return append(spec, meta, ChunkBody{{&body, 1}, kChunkAlignment, xxh3_64(body)});
  VMSNAP_ASSIGN_OR_RETURN(const ChunkHeader header, next_header(spec, meta.size()));
  VMSNAP_ASSIGN_OR_RETURN(const IndexLine line, begin_chunk(header, meta, xxh3_64({})));
  return end_chunk(line);
}

Result<void> ChunkWriter::append(const ChunkSpec& spec, ByteView meta, const ChunkBody& body) {
  std::uint64_t size = 0;
  for (const ByteView piece : body.pieces) size += piece.size();
  return append(
      spec, meta,
      StreamedBody{size, body.hash, [&](Sink& sink) { return sink.write(body.pieces); }, body.alignment});
}

Result<void> ChunkWriter::append(const ChunkSpec& spec, ByteView meta, const StreamedBody& body) {
  VMSNAP_ASSIGN_OR_RETURN(ChunkHeader header, next_header(spec, meta.size()));
  VMSNAP_RETURN_IF_ERROR(place_body(header, body.size, body.alignment));
  if (body.has_holes) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t end, end_of(header));
    VMSNAP_RETURN_IF_ERROR(extend_file(end));
  }
  VMSNAP_ASSIGN_OR_RETURN(const IndexLine line, begin_chunk(header, meta, body.hash));
  VMSNAP_RETURN_IF_ERROR(sink_->skip(header.gap));
  const std::uint64_t body_begin = sink_->position();
  VMSNAP_RETURN_IF_ERROR(body.source(*sink_));
  if (sink_->position() - body_begin != body.size) {
    return Error(ErrorKind::kInternal, "the body has another size than was announced")
        .in_chunk(chunk_name(spec.type, header.sequence));
  }
  return end_chunk(line);
}

Result<ChunkReservation> ChunkWriter::reserve(const ChunkSpec& spec, std::uint32_t meta_size,
                                              std::uint64_t body_size, std::uint64_t alignment) {
  VMSNAP_ASSIGN_OR_RETURN(ChunkHeader header, next_header(spec, meta_size));
  if (sink_->seekable() == nullptr) {
    return Error(ErrorKind::kUsage,
                 "flat memory can only be written to a file; choose the encoding \"extents\" for streams")
        .in_file(sink_->name());
  }
  VMSNAP_RETURN_IF_ERROR(place_body(header, body_size, alignment));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t end, end_of(header));
  VMSNAP_RETURN_IF_ERROR(extend_file(end));
  const std::uint64_t offset = sink_->position();
  VMSNAP_RETURN_IF_ERROR(sink_->skip(end - offset));
  index_.push_back({offset, 0, {}, header.type, header.instance, header.schema_id, header.flags});
  return ChunkReservation{header, offset, offset + kChunkHeaderSize + meta_size + header.gap};
}

Result<void> ChunkWriter::commit(const ChunkReservation& reservation, ByteView meta,
                                 std::uint64_t body_hash) {
  const ChunkHeader& header = reservation.header;
  const std::uint64_t offset = reservation.offset;
  const bool open = header.sequence < index_.size() && index_[header.sequence].size == 0;
  if (!open || meta.size() != header.meta_size) {
    return Error(ErrorKind::kInternal,
                 "the meta has another size than was reserved for it, or the chunk was committed before")
        .in_chunk(chunk_name(header.type, header.sequence));
  }
  const Head head = make_head(header, offset, *chunk_end(header, offset), meta, body_hash);
  const File& file = *sink_->seekable();
  VMSNAP_RETURN_IF_ERROR(file.write_at(offset, head.header));
  VMSNAP_RETURN_IF_ERROR(file.write_at(offset + kChunkHeaderSize, meta));
  index_[header.sequence] = head.line;
  return {};
}

Result<WrittenFile> ChunkWriter::finish(std::uint32_t end_schema_id, std::uint32_t index_schema_id) {
  for (const IndexLine& line : index_) {
    if (line.size == 0) return Error(ErrorKind::kInternal, "a reserved chunk was not committed");
  }
  RootHasher hasher(header_.uuid);
  for (const IndexLine& line : index_) hasher.add(line.digest);
  const Digest128 root = hasher.root();
  const EndMeta end{static_cast<std::uint32_t>(index_.size()), root};
  VMSNAP_RETURN_IF_ERROR(append({kChunkEnd, end_schema_id}, encode(end)));
  const std::uint64_t index_offset = sink_->position();
  VMSNAP_RETURN_IF_ERROR(append({kChunkIndex, index_schema_id}, encode_index(index_)));
  const Footer footer{root, index_offset, sink_->position() + kFooterSize,
                      static_cast<std::uint32_t>(index_.size())};
  VMSNAP_RETURN_IF_ERROR(sink_->write(encode(footer, seed_)));
  return WrittenFile{root, footer.file_size, footer.chunk_count};
}

}  // namespace vmsnap
