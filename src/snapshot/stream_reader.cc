// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/stream_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "base/parallel.h"
#include "container/chunk_rules.h"
#include "format/digest.h"
#include "ram/segment_filler.h"
#include "snapshot/directory.h"

namespace vmsnap {
namespace {

constexpr std::size_t kPieceSize = 64u << 10;
constexpr std::uint64_t kMaxStateBytes = 1u << 30;

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

/// Takes a stream apart, chunk by chunk, and hands out the parts of guest memory that were read. Errors do
/// not name the stream.
class StreamReader {
 public:
  explicit StreamReader(StreamSource& source) : source_(source) {}

  Result<void> begin() {
    VMSNAP_ASSIGN_OR_RETURN(header_, read_header(source_));
    rules_.emplace(header_);
    return {};
  }

  /// Reads until there is another part of guest memory; false at the end of the snapshot.
  Result<bool> next_part(SegmentFiller::Part& part) {
    while (!complete_) {
      if (filling_ != nullptr) {
        VMSNAP_ASSIGN_OR_RETURN(const bool more, filling_->read_part(source_, part));
        if (more) return true;
        filling_ = nullptr;
        VMSNAP_RETURN_IF_ERROR(skip_zeros(chunks_.back().end, chunks_.back()));
        continue;
      }
      const std::size_t before = chunks_.size();
      if (auto taken = take_chunk(); !taken) {
        // A header that is not sound has no name.
        if (chunks_.size() > before) taken.error().in_chunk(chunks_.back().name());
        return std::move(taken).error();
      }
    }
    return false;
  }

  /// After the last part. Everything is verified by then, except what SegmentFiller verifies.
  Result<StreamedSnapshot> finish(bool allow_recovered) {
    for (const auto& filler : fillers_) VMSNAP_RETURN_IF_ERROR(filler->check_complete());
    VMSNAP_RETURN_IF_ERROR(directory_.check_recovered(header_, allow_recovered));
    VMSNAP_RETURN_IF_ERROR(directory_.check_known(header_.arch, chunks_));
    StreamedSnapshot result;
    for (const auto& filler : fillers_) result.segments.push_back(filler->take_memory());
    result.header = std::move(header_);
    result.root = root_;
    result.manifest = directory_.manifest();
    result.memory_map = directory_.memory_map();
    result.device_states = std::move(states_);
    result.losses.assign(directory_.losses().begin(), directory_.losses().end());
    result.size = source_.position();
    return result;
  }

 private:
  Result<void> take_chunk() {
    EncodedChunkHeader encoded;
    VMSNAP_RETURN_IF_ERROR(source_.read(MutableByteView(encoded)));
    VMSNAP_ASSIGN_OR_RETURN(const ChunkRecord record, rules_->next(encoded));
    chunks_.push_back(record);
    const ChunkRecord& chunk = chunks_.back();
    if (auto error = unsupported_flags(chunk.header)) return std::move(error->at_offset(chunk.offset));
    VMSNAP_RETURN_IF_ERROR(directory_.check_type(chunk));

    ByteVector meta(chunk.header.meta_size);
    VMSNAP_RETURN_IF_ERROR(source_.read(meta));
    if (xxh3_64(meta) != chunk.header.meta_hash) {
      return Error(ErrorKind::kCorrupt, "the hash of the meta is wrong; the stream is damaged")
          .at_offset(chunk.meta_offset());
    }
    digests_.push_back(chunk_digest(encoded, meta));
    VMSNAP_RETURN_IF_ERROR(skip_zeros(chunk.body_offset(), chunk));
    const FourCc type = chunk.header.type;
    if (type == kChunkSchema) return take_schema(chunk, meta);
    if (is_ram_chunk(type)) return take_ram(chunk, meta);
    if (type == kChunkManifest) {
      VMSNAP_RETURN_IF_ERROR(directory_.set_manifest(chunk, meta));
      states_.resize(directory_.manifest().devices.size());
    } else if (type == kChunkMemoryMap) {
      VMSNAP_RETURN_IF_ERROR(directory_.set_memory_map(chunk, meta));
      for (const MemorySegment& segment : directory_.memory_map().segments)
        fillers_.push_back(std::make_unique<SegmentFiller>(segment.id, segment.size));
    } else if (type == kChunkLost) {
      VMSNAP_RETURN_IF_ERROR(directory_.set_lost(chunk, meta));
    } else if (type == kChunkEnd) {
      VMSNAP_ASSIGN_OR_RETURN(root_, check_end(meta, chunk));
    } else if (type == kChunkIndex) {
      VMSNAP_RETURN_IF_ERROR(skip_zeros(chunk.end, chunk));
      return take_end(chunk, meta);
    } else {
      VMSNAP_RETURN_IF_ERROR(take_other(chunk, std::move(meta)));
    }
    return skip_zeros(chunk.end, chunk);
  }

  Result<void> take_schema(const ChunkRecord& chunk, ByteView meta) {
    ByteVector body(chunk.header.body_size);
    VMSNAP_RETURN_IF_ERROR(source_.read(body));
    if (xxh3_64(body) != chunk.header.body_hash) return wrong_body(chunk);
    VMSNAP_RETURN_IF_ERROR(directory_.add_schema(chunk, meta, body));
    VMSNAP_RETURN_IF_ERROR(directory_.check_version(directory_.schemas().back(), chunk));
    return skip_zeros(chunk.end, chunk);
  }

  Result<void> take_ram(const ChunkRecord& chunk, ByteView meta) {
    VMSNAP_RETURN_IF_ERROR(directory_.add_chunk(chunk));
    SegmentFiller& filler = *fillers_[chunk.header.instance];
    VMSNAP_RETURN_IF_ERROR(filler.begin(ram_chunks_.emplace_back(chunk), meta));
    filling_ = &filler;
    return {};
  }

  Result<void> take_other(const ChunkRecord& chunk, ByteVector meta) {
    VMSNAP_RETURN_IF_ERROR(directory_.add_chunk(chunk));
    const auto unknown = directory_.unknown_chunks();
    if (unknown.empty() || unknown.back() != chunk.header.sequence) {
      VMSNAP_RETURN_IF_ERROR(directory_.check_state(chunk, meta));
      state_bytes_ += meta.size();
      if (state_bytes_ > kMaxStateBytes) {
        return Error(ErrorKind::kLimitExceeded, "the states of all devices come to more than 1 GiB");
      }
      states_[chunk.header.instance] = std::move(meta);
      return {};
    }
    Xxh3Stream hash;
    for (std::uint64_t at = chunk.body_offset(); at < chunk.body_end();) {
      const MutableByteView piece =
          MutableByteView(piece_).first(std::min<std::uint64_t>(piece_.size(), chunk.body_end() - at));
      VMSNAP_RETURN_IF_ERROR(source_.read(piece));
      hash.update(piece);
      at += piece.size();
    }
    if (!chunk.header.has_leaves() && hash.digest_64() != chunk.header.body_hash) return wrong_body(chunk);
    return {};
  }

  /// INDX, the footer, and everything that could not be checked before.
  Result<void> take_end(const ChunkRecord& index, ByteView meta) {
    VMSNAP_ASSIGN_OR_RETURN(const std::vector<Digest128> stated, check_index(meta, chunks_));
    EncodedFooter bytes;
    VMSNAP_RETURN_IF_ERROR(source_.read(MutableByteView(bytes)));
    VMSNAP_ASSIGN_OR_RETURN(const Footer footer, check_footer(bytes, header_, index));
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
          .at_offset(index.end);
    }
    VMSNAP_RETURN_IF_ERROR(directory_.check_schemas());
    VMSNAP_RETURN_IF_ERROR(directory_.check_complete());
    complete_ = true;
    return {};
  }

  /// Reads the bytes up to `end`, which must be zero.
  Result<void> skip_zeros(std::uint64_t end, const ChunkRecord& chunk) {
    while (source_.position() < end) {
      const std::uint64_t at = source_.position();
      const MutableByteView piece =
          MutableByteView(piece_).first(std::min<std::uint64_t>(piece_.size(), end - at));
      VMSNAP_RETURN_IF_ERROR(source_.read(piece));
      if (is_all_zero(piece)) continue;
      const auto first =
          std::find_if(piece.begin(), piece.end(), [](std::byte b) { return b != std::byte{0}; });
      return Error(ErrorKind::kCorrupt, "a byte that must be zero is not; the stream is damaged")
          .at_offset(at + static_cast<std::uint64_t>(first - piece.begin()))
          .in_chunk(chunk.name());
    }
    return {};
  }

  static Error wrong_body(const ChunkRecord& chunk) {
    return Error(ErrorKind::kCorrupt, "the hash of the body is wrong; the stream is damaged")
        .at_offset(chunk.body_offset());
  }

  StreamSource& source_;
  FileHeader header_;
  std::optional<ChunkRules> rules_;
  SnapshotDirectory directory_;
  std::vector<ChunkRecord> chunks_;     // by sequence number
  std::deque<ChunkRecord> ram_chunks_;  // those of them that fillers_ refer to
  std::vector<Digest128> digests_;      // by sequence number
  std::vector<ByteVector> states_;      // by instance
  std::uint64_t state_bytes_ = 0;
  std::vector<std::unique_ptr<SegmentFiller>> fillers_;  // by segment id
  SegmentFiller* filling_ = nullptr;                     // whose body is being read
  Digest128 root_;
  bool complete_ = false;
  std::array<std::byte, kPieceSize> piece_{};
};

Result<StreamedSnapshot> read_stream(StreamSource& source, const PassOptions& pass, bool allow_recovered) {
  const auto reader = std::make_unique<StreamReader>(source);
  VMSNAP_RETURN_IF_ERROR(reader->begin());
  const std::size_t slots = std::max(1u, pass.threads) + 1;
  std::vector<SegmentFiller::Part> parts(slots);
  PipelineSteps steps;
  steps.produce = [&](std::size_t slot) -> Result<bool> {
    VMSNAP_RETURN_IF_ERROR(check_cancelled(pass));
    return reader->next_part(parts[slot]);
  };
  steps.work = [&](std::size_t slot) { return parts[slot].filler->work(parts[slot]); };
  steps.consume = [&](std::size_t slot) -> Result<void> {
    VMSNAP_RETURN_IF_ERROR(parts[slot].filler->settle(parts[slot]));
    if (pass.progress) pass.progress(parts[slot].bytes);
    return {};
  };
  VMSNAP_RETURN_IF_ERROR(ordered_pipeline(pass.threads, slots, steps));
  return reader->finish(allow_recovered);
}

}  // namespace

Result<StreamedSnapshot> read_snapshot_stream(StreamSource& source, const PassOptions& pass,
                                              bool allow_recovered) {
  auto snapshot = read_stream(source, pass, allow_recovered);
  if (!snapshot) return std::move(std::move(snapshot).error().in_file(source.name()));
  return snapshot;
}

}  // namespace vmsnap
