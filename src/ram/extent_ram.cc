// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_ram.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "container/flatbuffer.h"
#include "format/constants.h"
#include "ram/flat_ram.h"
#include "rame_generated.h"

namespace vmsnap {
namespace {

Error corrupt(std::string message, std::string_view field) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

Result<void> check_extents(const ExtentRamMeta& meta, std::uint64_t segment_size) {
  VMSNAP_RETURN_IF_ERROR(check_extent_shift(meta.extent_shift));
  const std::uint64_t extents = extent_count(segment_size, meta.extent_shift);
  if (extents > kMaxLeafCount || meta.leaves.empty() || meta.first_extent >= extents ||
      meta.leaves.size() > extents - meta.first_extent) {
    return corrupt(fmt::format("a batch of {} extents from extent {} is not in a segment of {} extents",
                               meta.leaves.size(), meta.first_extent, extents),
                   "leaves");
  }
  return {};
}

Result<void> check_runs(const ExtentRamMeta& meta, std::uint64_t segment_size) {
  const std::uint64_t end = meta.end(segment_size);
  std::uint64_t at = meta.begin();
  for (std::size_t i = 0; i < meta.runs.size(); ++i) {
    const PageRun& run = meta.runs[i];
    if (run.kind == PageRunKind::kParent || run.kind > PageRunKind::kParent) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("run {} has kind {}, which this build does not know; use a newer version", i,
                               static_cast<unsigned>(run.kind)))
          .in_field("runs.kind");
    }
    const std::uint64_t size = run.pages * kPageSize;
    if (size == 0 || size > end - at) {
      return corrupt(fmt::format("run {} of {} pages does not fit into its batch", i, run.pages),
                     "runs.pages");
    }
    const bool duplicate = run.kind == PageRunKind::kDuplicate;
    if (duplicate ? run.source % kPageSize != 0 || run.source > at || size > at - run.source
                  : run.source != 0) {
      return corrupt(fmt::format("run {} has the impossible source {:#x}", i, run.source), "runs.source");
    }
    at += size;
  }
  if (at != end) return corrupt("the runs do not reach the end of their batch", "runs.pages");
  return {};
}

Result<void> check_body(const ExtentRamMeta& meta, std::uint64_t body_size, Codec codec) {
  if (codec == Codec::kNone) {
    if (!meta.block_sizes.empty())
      return corrupt("a body that is not compressed has no blocks", "block_sizes");
    if (meta.data_bytes() != body_size) {
      return corrupt(fmt::format("the runs have {} bytes of data, the body {}", meta.data_bytes(), body_size),
                     "runs.pages");
    }
    return {};
  }
  // Before anything is allocated for the blocks that the runs, which a few bytes can make as long as a
  // segment may be, ask for.
  if (meta.data_bytes() / kBlockSize > meta.block_sizes.size()) {
    return corrupt(
        fmt::format("{} blocks are too few for {} bytes of data", meta.block_sizes.size(), meta.data_bytes()),
        "block_sizes");
  }
  const std::vector<std::uint32_t> contents = block_contents(meta);
  if (contents.size() != meta.block_sizes.size()) {
    return corrupt(
        fmt::format("there are {} blocks for data of {} blocks", meta.block_sizes.size(), contents.size()),
        "block_sizes");
  }
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (meta.block_sizes[i] == 0 || meta.block_sizes[i] > contents[i]) {
      return corrupt(
          fmt::format("block {} of {} bytes cannot hold {} bytes", i, meta.block_sizes[i], contents[i]),
          "block_sizes");
    }
    sum += meta.block_sizes[i];
  }
  if (sum != body_size) {
    return corrupt(fmt::format("the blocks have {} bytes, the body {}", sum, body_size), "block_sizes");
  }
  return {};
}

}  // namespace

std::vector<std::uint32_t> block_contents(const ExtentRamMeta& meta) {
  std::vector<std::uint32_t> contents;
  const std::uint64_t extent_size = std::uint64_t{1} << meta.extent_shift;
  std::uint64_t at = meta.begin();
  std::uint64_t in_extent = 0;  // data of the extent at hand that no block has yet
  const auto close_extent = [&] {
    for (; in_extent > 0; in_extent -= contents.back())
      contents.push_back(static_cast<std::uint32_t>(std::min(in_extent, kBlockSize)));
  };
  for (const PageRun& run : meta.runs) {
    std::uint64_t left = run.pages * kPageSize;
    while (left > 0) {
      const std::uint64_t piece = std::min(left, extent_size - at % extent_size);
      if (run.kind == PageRunKind::kData) in_extent += piece;
      at += piece;
      left -= piece;
      if (at % extent_size == 0) close_extent();
    }
  }
  close_extent();
  return contents;
}

std::uint64_t ExtentRamMeta::end(std::uint64_t size) const {
  return std::min(size, (first_extent + std::uint64_t{leaves.size()}) << extent_shift);
}

std::uint64_t ExtentRamMeta::data_bytes() const {
  std::uint64_t bytes = 0;
  for (const PageRun& run : runs) {
    if (run.kind == PageRunKind::kData) bytes += run.pages * kPageSize;
  }
  return bytes;
}

ByteVector encode(const ExtentRamMeta& meta) {
  flatbuffers::FlatBufferBuilder builder(128 + meta.leaves.size() * sizeof(std::uint64_t) +
                                         meta.runs.size() * sizeof(schema::PageRun) +
                                         meta.block_sizes.size() * sizeof(std::uint32_t));
  std::vector<schema::PageRun> runs;
  runs.reserve(meta.runs.size());
  for (const PageRun& run : meta.runs) {
    runs.emplace_back(run.source, run.pages, static_cast<schema::PageRunKind>(run.kind));
  }
  const auto leaves = builder.CreateVector(meta.leaves);
  const auto runs_offset = builder.CreateVectorOfStructs(runs);
  const auto blocks = meta.block_sizes.empty() ? 0 : builder.CreateVector(meta.block_sizes);
  schema::FinishExtentRamBuffer(
      builder, schema::CreateExtentRam(builder, meta.segment, meta.extent_shift, meta.first_extent, leaves,
                                       runs_offset, blocks));
  return take_bytes(builder);
}

Result<ExtentRamMeta> decode_extent_ram(ByteView meta, std::uint64_t segment_size, std::uint64_t body_size,
                                        Codec codec) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* ram, verified_root<schema::ExtentRam>(meta, kChunkExtentRam));
  ExtentRamMeta result;
  result.segment = ram->segment();
  result.extent_shift = ram->extent_shift();
  result.first_extent = ram->first_extent();
  result.leaves.assign(ram->leaves()->begin(), ram->leaves()->end());
  result.runs.reserve(ram->runs()->size());
  for (const schema::PageRun* run : *ram->runs()) {
    result.runs.push_back({static_cast<PageRunKind>(run->kind()), run->pages(), run->source()});
  }
  if (ram->block_sizes() != nullptr) {
    result.block_sizes.assign(ram->block_sizes()->begin(), ram->block_sizes()->end());
  }
  VMSNAP_RETURN_IF_ERROR(check_extents(result, segment_size));
  VMSNAP_RETURN_IF_ERROR(check_runs(result, segment_size));
  VMSNAP_RETURN_IF_ERROR(check_body(result, body_size, codec));
  return result;
}

}  // namespace vmsnap
