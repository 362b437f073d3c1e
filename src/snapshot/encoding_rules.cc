// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/encoding_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "format/constants.h"
#include "ram/extent_ram_writer.h"
#include "ram/flat_ram_writer.h"

namespace vmsnap {
namespace {

constexpr std::uint8_t kLargeBodyAlignShift = 21;  // a huge page

bool is_extents(const SnapshotWriteOptions& options) {
  return options.encoding == RamEncoding::kExtents;
}

std::uint8_t choose_body_align_shift(const MemoryMap& memory, const SnapshotWriteOptions& options) {
  if (options.body_align_shift) return *options.body_align_shift;
  if (is_extents(options)) return kMinBodyAlignShift;
  const bool large =
      std::any_of(memory.segments.begin(), memory.segments.end(),
                  [](const MemorySegment& segment) { return segment.size >> kLargeBodyAlignShift != 0; });
  return large ? kLargeBodyAlignShift : kMinBodyAlignShift;
}

}  // namespace

Result<void> check_encoding(const Sink& sink, const SnapshotWriteOptions& options) {
  if (is_extents(options)) return {};
  if (options.codec != Codec::kNone) {
    return Error(ErrorKind::kUsage,
                 "flat memory is never compressed; choose the encoding \"extents\" to compress");
  }
  if (sink.seekable() == nullptr) {
    return Error(ErrorKind::kUsage,
                 "flat memory can only be written to a file; choose the encoding \"extents\" for streams")
        .in_file(sink.name());
  }
  return {};
}

FourCc ram_chunk_type(const SnapshotWriteOptions& options) {
  return is_extents(options) ? kChunkExtentRam : kChunkFlatRam;
}

Result<FileHeader> make_file_header(const MemoryMap& memory, const SnapshotWriteOptions& options) {
  FileHeader header;
  header.body_align_shift = choose_body_align_shift(memory, options);
  if (header.body_align_shift < kMinBodyAlignShift || header.body_align_shift > kMaxBodyAlignShift) {
    return Error(ErrorKind::kUsage,
                 fmt::format("the body alignment 2^{} is outside 2^{}..2^{}", header.body_align_shift,
                             kMinBodyAlignShift, kMaxBodyAlignShift));
  }
  if (options.uuid) {
    header.uuid = *options.uuid;
  } else {
    VMSNAP_ASSIGN_OR_RETURN(header.uuid, Uuid::random());
  }
  if (is_extents(options) && !memory.segments.empty()) header.features = extent_ram_features(options.codec);
  return header;
}

Result<SnapshotSummary> write_memory(ChunkWriter& writer, std::uint32_t schema_id, const MemoryMap& memory,
                                     const SegmentSource& source, const SnapshotWriteOptions& options) {
  SnapshotSummary summary;
  for (const MemorySegment& segment : memory.segments) {
    VMSNAP_ASSIGN_OR_RETURN(const std::unique_ptr<ExtentSource> extents, source(segment.id));
    VMSNAP_ASSIGN_OR_RETURN(
        const WrittenRam ram,
        is_extents(options)
            ? write_extent_ram(writer, schema_id, segment.id, *extents, options.codec, options.pass)
            : write_flat_ram(writer, schema_id, segment.id, *extents, options.pass));
    summary.ram_bytes += segment.size;
    summary.ram_data_bytes += ram.data_bytes;
    summary.ram_stored_bytes += ram.stored_bytes;
  }
  return summary;
}

Result<SnapshotSummary> finish_file(ChunkWriter& writer, std::uint32_t end_schema_id,
                                    std::uint32_t index_schema_id, SnapshotSummary summary) {
  VMSNAP_ASSIGN_OR_RETURN(const WrittenFile written, writer.finish(end_schema_id, index_schema_id));
  summary.uuid = writer.header().uuid;
  summary.root = written.root;
  summary.file_size = written.size;
  summary.chunk_count = written.chunk_count;
  return summary;
}

}  // namespace vmsnap
