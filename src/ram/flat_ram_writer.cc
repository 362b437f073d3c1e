// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram_writer.h"

#include "format/digest.h"
#include "ram/flat_body_writer.h"
#include "ram/flat_ram.h"

namespace vmsnap {

Result<FlatRamWriter> FlatRamWriter::begin(ChunkWriter& writer, std::uint32_t schema_id,
                                           std::uint32_t segment, std::uint64_t size,
                                           std::uint8_t extent_shift) {
  FlatRamMeta meta{segment, extent_shift, 0, {}};
  meta.leaves.resize(extent_count(size, extent_shift));
  const auto meta_size = static_cast<std::uint32_t>(encode(meta).size());
  VMSNAP_ASSIGN_OR_RETURN(
      const ChunkReservation reservation,
      writer.reserve({kChunkFlatRam, schema_id, segment, kChunkCritical | kChunkLeaves}, meta_size, size,
                     std::uint64_t{1} << writer.header().body_align_shift));
  return FlatRamWriter(writer, reservation, std::move(meta));
}

Result<void> FlatRamWriter::write(ExtentSource& source, const PassOptions& options) {
  return write_flat_body({writer_->sink().seekable(), reservation_.body_offset}, source, options,
                         [&](const Extent& extent) {
                           meta_.leaves[extent.begin >> meta_.extent_shift] = extent.leaf;
                           meta_.data_bytes += extent.data_bytes() + extent.repeated_bytes();
                         });
}

Result<WrittenRam> FlatRamWriter::finish() {
  VMSNAP_RETURN_IF_ERROR(writer_->commit(reservation_, encode(meta_), leaves_hash(meta_.leaves)));
  return WrittenRam{meta_.data_bytes, meta_.data_bytes};
}

Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                  ExtentSource& source, const PassOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(FlatRamWriter chunk, FlatRamWriter::begin(writer, schema_id, segment, source.size(),
                                                                    source.extent_shift()));
  VMSNAP_RETURN_IF_ERROR(chunk.write(source, options));
  return chunk.finish();
}

Result<WrittenRam> write_flat_ram(ChunkWriter& writer, std::uint32_t schema_id, std::uint32_t segment,
                                  const RamSource& memory, const PassOptions& options) {
  VMSNAP_RETURN_IF_ERROR(MemorySource::check(memory));
  MemorySource source(memory);
  return write_flat_ram(writer, schema_id, segment, source, options);
}

}  // namespace vmsnap
