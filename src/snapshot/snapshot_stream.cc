// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/snapshot_stream.h"

#include <algorithm>

#include "format/digest.h"

namespace vmsnap {
namespace {

Result<FileHeader> read_header(StreamSource& source) {
  ByteVector bytes(kFileHeaderFixedSize);
  VMSNAP_ASSIGN_OR_RETURN(std::size_t got, source.read_up_to(bytes));
  if (got == 0) {
    return Error(ErrorKind::kTruncated,
                 "nothing comes from the stream: its sender failed, or has no snapshot")
        .at_offset(0);
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t size, file_header_size(ByteView(bytes).first(got)));
  bytes.resize(size);
  VMSNAP_ASSIGN_OR_RETURN(got, source.read_up_to(MutableByteView(bytes).subspan(kFileHeaderFixedSize)));
  if (got < size - kFileHeaderFixedSize) {
    if (!is_cut_header(ByteView(bytes).first(kFileHeaderFixedSize))) {
      return Error(ErrorKind::kCorrupt, "the size of the header is wrong; the stream is damaged")
          .at_offset(12);
    }
    return Error(ErrorKind::kTruncated,
                 "the stream ends inside the header of the snapshot: its sender failed")
        .at_offset(source.position());
  }
  return decode_file_header(bytes);
}

Error wrong_body(const ChunkRecord& chunk) {
  return Error(ErrorKind::kCorrupt, "the hash of the body is wrong; the stream is damaged")
      .at_offset(chunk.body_offset())
      .in_chunk(chunk.name());
}

}  // namespace

Result<void> SnapshotStream::begin() {
  VMSNAP_ASSIGN_OR_RETURN(header_, read_header(source_));
  rules_.emplace(header_);
  return {};
}

Result<bool> SnapshotStream::next() {
  // A header that is not sound has no name; the chunk before it is not at fault.
  const auto named = [&](Result<void> result) {
    if (!result) result.error().in_chunk(chunk().name());
    return result;
  };
  while (!complete_) {
    if (!chunks_.empty()) VMSNAP_RETURN_IF_ERROR(named(skip_zeros(chunk().end)));
    const std::size_t before = chunks_.size();
    auto head = read_head();
    if (!head) return std::move(chunks_.size() > before ? named(std::move(head)) : head).error();
    VMSNAP_RETURN_IF_ERROR(named(take()));
    const FourCc type = chunk().header.type;
    if (type != kChunkEnd && type != kChunkIndex) return true;
  }
  return false;
}

Result<void> SnapshotStream::read_head() {
  EncodedChunkHeader encoded;
  VMSNAP_RETURN_IF_ERROR(source_.read(MutableByteView(encoded)));
  VMSNAP_ASSIGN_OR_RETURN(const ChunkRecord record, rules_->next(encoded));
  chunks_.push_back(record);
  if (auto error = unsupported_flags(record.header)) return std::move(error->at_offset(record.offset));
  VMSNAP_RETURN_IF_ERROR(directory_.check_type(record));
  meta_.resize(record.header.meta_size);
  VMSNAP_RETURN_IF_ERROR(source_.read(meta_));
  if (xxh3_64(meta_) != record.header.meta_hash) {
    return Error(ErrorKind::kCorrupt, "the hash of the meta is wrong; the stream is damaged")
        .at_offset(record.meta_offset());
  }
  digests_.push_back(chunk_digest(encoded, meta_));
  return skip_zeros(record.body_offset());
}

Result<void> SnapshotStream::take() {
  const FourCc type = chunk().header.type;
  if (type == kChunkSchema) return take_schema();
  if (type == kChunkManifest) return directory_.set_manifest(chunk(), meta_);
  if (type == kChunkMemoryMap) return directory_.set_memory_map(chunk(), meta_);
  if (type == kChunkLost) return directory_.set_lost(chunk(), meta_);
  if (type == kChunkIndex) return take_index();
  if (type != kChunkEnd) return take_other();
  VMSNAP_ASSIGN_OR_RETURN(root_, check_end(meta_, chunk()));
  return {};
}

Result<void> SnapshotStream::take_schema() {
  schema_body_.resize(chunk().header.body_size);
  VMSNAP_RETURN_IF_ERROR(source_.read(schema_body_));
  if (xxh3_64(schema_body_) != chunk().header.body_hash) return wrong_body(chunk());
  VMSNAP_RETURN_IF_ERROR(directory_.add_schema(chunk(), meta_, schema_body_));
  return directory_.check_version(directory_.schemas().back(), chunk());
}

Result<void> SnapshotStream::take_other() {
  VMSNAP_RETURN_IF_ERROR(directory_.add_chunk(chunk()));
  if (is_ram_chunk(chunk().header.type) || is_unknown()) return {};
  return directory_.check_state(chunk(), meta_);
}

bool SnapshotStream::is_unknown() const {
  const auto unknown = directory_.unknown_chunks();
  return !unknown.empty() && unknown.back() == chunk().header.sequence;
}

Result<void> SnapshotStream::read_body(const std::function<Result<void>(ByteView)>& take) {
  Xxh3Stream hash;
  for (std::uint64_t at = chunk().body_offset(); at < chunk().body_end();) {
    const MutableByteView piece =
        MutableByteView(piece_).first(std::min<std::uint64_t>(piece_.size(), chunk().body_end() - at));
    if (auto read = source_.read(piece); !read) {
      return std::move(std::move(read).error().in_chunk(chunk().name()));
    }
    hash.update(piece);
    VMSNAP_RETURN_IF_ERROR(take(piece));
    at += piece.size();
  }
  if (!chunk().header.has_leaves() && hash.digest_64() != chunk().header.body_hash)
    return wrong_body(chunk());
  return {};
}

Result<void> SnapshotStream::take_index() {
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<Digest128> stated, check_index(meta_, chunks_));
  VMSNAP_RETURN_IF_ERROR(skip_zeros(chunk().end));
  EncodedFooter bytes;
  VMSNAP_RETURN_IF_ERROR(source_.read(MutableByteView(bytes)));
  VMSNAP_ASSIGN_OR_RETURN(const Footer footer, check_footer(bytes, header_, chunk()));
  std::byte more{};
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t trailing, source_.read_up_to({&more, 1}));
  if (trailing != 0) {
    return Error(ErrorKind::kCorrupt, "bytes follow the end of the snapshot; something was appended to it")
        .at_offset(footer.file_size);
  }
  RootHasher hasher(header_.uuid);
  for (std::size_t i = 0; i < stated.size(); ++i) {
    if (digests_[i] != stated[i]) {
      return Error(ErrorKind::kCorrupt, "the digest of the chunk is not the one in the index")
          .at_offset(chunks_[i].offset)
          .in_chunk(chunks_[i].name());
    }
    if (chunks_[i].header.type != kChunkEnd) hasher.add(stated[i]);
  }
  if (footer.root != root_ || hasher.root() != root_) {
    return Error(ErrorKind::kCorrupt,
                 "the digests of the chunks do not give the root; it was changed after "
                 "it was written")
        .at_offset(chunk().end);
  }
  VMSNAP_RETURN_IF_ERROR(directory_.check_schemas());
  VMSNAP_RETURN_IF_ERROR(directory_.check_complete());
  complete_ = true;
  return {};
}

Result<void> SnapshotStream::skip_zeros(std::uint64_t end) {
  while (source_.position() < end) {
    const std::uint64_t at = source_.position();
    const MutableByteView piece =
        MutableByteView(piece_).first(std::min<std::uint64_t>(piece_.size(), end - at));
    VMSNAP_RETURN_IF_ERROR(source_.read(piece));
    if (is_all_zero(piece)) continue;
    const auto first =
        std::find_if(piece.begin(), piece.end(), [](std::byte b) { return b != std::byte{0}; });
    return Error(ErrorKind::kCorrupt, "a byte that must be zero is not; the stream is damaged")
        .at_offset(at + static_cast<std::uint64_t>(first - piece.begin()));
  }
  return {};
}

}  // namespace vmsnap
