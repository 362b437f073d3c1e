// SPDX-License-Identifier: BSD-2-Clause
#include "ram/flat_ram.h"

#include <fmt/format.h>

#include "container/flatbuffer.h"
#include "format/constants.h"
#include "ram/ram_chunk.h"
#include "ramf_generated.h"

namespace vmsnap {

Result<std::uint8_t> choose_extent_shift(std::uint64_t segment_size) {
  for (std::uint8_t shift = kMinExtentShift; shift <= kMaxExtentShift; ++shift) {
    if (extent_count(segment_size, shift) <= kMaxLeafCount) return shift;
  }
  return Error(
      ErrorKind::kLimitExceeded,
      fmt::format("a memory segment of {} bytes is larger than the format can describe", segment_size));
}

std::uint64_t extent_count(std::uint64_t segment_size, std::uint8_t extent_shift) {
  const std::uint64_t whole = segment_size >> extent_shift;
  return (whole << extent_shift) == segment_size ? whole : whole + 1;
}

Result<void> check_extent_shift(std::uint8_t extent_shift) {
  if (extent_shift >= kMinExtentShift && extent_shift <= kMaxExtentShift) return {};
  return Error(ErrorKind::kCorrupt, fmt::format("the extent size 2^{} is outside 2^{}..2^{}", extent_shift,
                                                kMinExtentShift, kMaxExtentShift))
      .in_field("extent_shift");
}

ByteVector encode(const FlatRamMeta& meta) {
  flatbuffers::FlatBufferBuilder builder(128 + meta.leaves.size() * sizeof(std::uint64_t));
  // Every field is present whatever its value, so that the size is known before the values are.
  builder.ForceDefaults(true);
  schema::FinishFlatRamBuffer(builder,
                              schema::CreateFlatRam(builder, meta.segment, meta.extent_shift, meta.data_bytes,
                                                    builder.CreateVector(meta.leaves)));
  return take_bytes(builder);
}

Result<FlatRamMeta> decode_flat_ram(ByteView meta, std::uint64_t segment_size) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* ram, verified_root<schema::FlatRam>(meta, kChunkFlatRam));
  FlatRamMeta result{ram->segment(), ram->extent_shift(), ram->data_bytes(), {}};
  VMSNAP_RETURN_IF_ERROR(check_extent_shift(result.extent_shift));
  const std::uint64_t wanted = extent_count(segment_size, result.extent_shift);
  if (ram->leaves()->size() != wanted || wanted > kMaxLeafCount) {
    return Error(ErrorKind::kCorrupt,
                 fmt::format("there are {} leaves for {} extents", ram->leaves()->size(), wanted))
        .in_field("leaves");
  }
  if (result.data_bytes > segment_size || result.data_bytes % kPageSize != 0) {
    return Error(ErrorKind::kCorrupt, fmt::format("{} bytes of data in {} bytes of memory are impossible",
                                                  result.data_bytes, segment_size))
        .in_field("data_bytes");
  }
  result.leaves.assign(ram->leaves()->begin(), ram->leaves()->end());
  return result;
}

Result<FlatRamMeta> decode_flat_ram(const ChunkRecord& chunk, ByteView meta) {
  return checked_ram_meta(chunk, decode_flat_ram(meta, chunk.header.body_size));
}

Result<FlatRamMeta> read_flat_ram_meta(const File& file, const ChunkRecord& chunk) {
  VMSNAP_ASSIGN_OR_RETURN(const ByteVector bytes, read_meta(file, chunk));
  auto meta = decode_flat_ram(chunk, bytes);
  if (!meta) return std::move(std::move(meta).error().in_file(file.name()));
  return meta;
}

}  // namespace vmsnap
