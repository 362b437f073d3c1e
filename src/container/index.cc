// SPDX-License-Identifier: BSD-2-Clause
#include "container/index.h"

#include "container/flatbuffer.h"
#include "end_generated.h"
#include "indx_generated.h"

namespace vmsnap {
namespace {

constexpr std::size_t kDigestSize = sizeof(Digest128::bytes);

}  // namespace

ByteVector encode(const EndMeta& end) {
  flatbuffers::FlatBufferBuilder builder(128);
  const auto root =
      builder.CreateVector(reinterpret_cast<const std::uint8_t*>(end.root.bytes.data()), kDigestSize);
  schema::FinishEndBuffer(builder, schema::CreateEnd(builder, end.chunk_count, root));
  return take_bytes(builder);
}

ByteVector encode_index(std::span<const IndexLine> lines) {
  flatbuffers::FlatBufferBuilder builder(128 + lines.size() * sizeof(schema::IndexEntry));
  std::vector<schema::IndexEntry> entries;
  entries.reserve(lines.size());
  for (const IndexLine& line : lines) {
    const flatbuffers::span<const std::uint8_t, kDigestSize> digest(
        reinterpret_cast<const std::uint8_t*>(line.digest.bytes.data()), kDigestSize);
    entries.emplace_back(line.offset, line.size, digest, line.type.value(), line.instance, line.schema_id,
                         line.flags);
  }
  schema::FinishIndexBuffer(builder, schema::CreateIndexDirect(builder, &entries));
  return take_bytes(builder);
}

Result<EndMeta> decode_end(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* end, verified_root<schema::End>(meta, kChunkEnd));
  if (end->root()->size() != kDigestSize) {
    return Error(ErrorKind::kCorrupt, "the root digest does not have 16 bytes").in_field("root");
  }
  EndMeta result{end->chunk_count(), {}};
  std::memcpy(result.root.bytes.data(), end->root()->data(), kDigestSize);
  return result;
}

Result<std::vector<IndexLine>> decode_index(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* index, verified_root<schema::Index>(meta, kChunkIndex));
  std::vector<IndexLine> lines;
  lines.reserve(index->entries()->size());
  for (const schema::IndexEntry* entry : *index->entries()) {
    IndexLine line{entry->offset(),    entry->size(), {}, FourCc(entry->type()), entry->instance(),
                   entry->schema_id(), entry->flags()};
    std::memcpy(line.digest.bytes.data(), entry->digest()->data(), kDigestSize);
    lines.push_back(line);
  }
  return lines;
}

}  // namespace vmsnap
