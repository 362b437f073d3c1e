// SPDX-License-Identifier: BSD-2-Clause
#include "raw_snapshot.h"

#include <lz4.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "container/chunk_reader.h"
#include "container/flatbuffer.h"
#include "end_generated.h"
#include "format/digest.h"
#include "format/footer.h"
#include "indx_generated.h"
#include "ram/extent_ram.h"
#include "rame_generated.h"
#include "ramf_generated.h"
#include "small_snapshot.h"
#include "snapshot/schema_meta.h"

namespace vmsnap::test {
namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "test support: %s\n", what);
  std::abort();
}

std::uint64_t body_alignment(const ChunkSpec& spec, const FileHeader& header) {
  if (spec.type == kChunkFlatRam) return std::uint64_t{1} << header.body_align_shift;
  return spec.type == kChunkExtentRam && (spec.flags & kChunkCodecMask) == 0 ? kPageSize : kChunkAlignment;
}

}  // namespace

RawSnapshot RawSnapshot::parse(ByteView file) {
  auto reader = ChunkReader::open(memory_file(file));
  if (!reader) fail(reader.error().to_string().c_str());
  RawSnapshot raw;
  raw.header = reader->header();
  for (const ChunkRecord& chunk : reader->chunks()) {
    if (chunk.header.type == kChunkEnd) raw.end_schema_id = chunk.header.schema_id;
    if (chunk.header.type == kChunkIndex) raw.index_schema_id = chunk.header.schema_id;
    if (chunk.header.type == kChunkEnd || chunk.header.type == kChunkIndex) continue;
    RawChunk& to = raw.chunks.emplace_back();
    to.spec = {chunk.header.type, chunk.header.schema_id, chunk.header.instance, chunk.header.flags};
    const ByteView meta = file.subspan(chunk.meta_offset(), chunk.header.meta_size);
    const ByteView body = file.subspan(chunk.body_offset(), chunk.header.body_size);
    to.meta.assign(meta.begin(), meta.end());
    to.body.assign(body.begin(), body.end());
    to.body_hash = chunk.header.body_hash;
  }
  return raw;
}

ByteVector RawSnapshot::bytes() const {
  const File file = memory_file({});
  FileSink sink(file);
  auto writer = ChunkWriter::begin(sink, header);
  if (!writer) fail(writer.error().to_string().c_str());
  for (const RawChunk& chunk : chunks) {
    if (chunk.body.empty()) {
      if (!writer->append(chunk.spec, chunk.meta)) fail("cannot append a chunk");
      continue;
    }
    const auto reserved = writer->reserve(chunk.spec, static_cast<std::uint32_t>(chunk.meta.size()),
                                          chunk.body.size(), body_alignment(chunk.spec, header));
    if (!reserved || !file.write_at(reserved->body_offset, chunk.body)) fail("cannot reserve a chunk");
    const bool leaves = (chunk.spec.flags & kChunkLeaves) != 0;
    if (!writer->commit(*reserved, chunk.meta, leaves ? chunk.body_hash : xxh3_64(chunk.body))) {
      fail("cannot commit a chunk");
    }
  }
  if (!writer->finish(end_schema_id, index_schema_id)) fail("cannot finish the file");
  return read_whole(file);
}

RawChunk& RawSnapshot::find(FourCc type) {
  const auto found = std::find_if(chunks.begin(), chunks.end(),
                                  [&](const RawChunk& chunk) { return chunk.spec.type == type; });
  if (found == chunks.end()) fail("no chunk of that type");
  return *found;
}

namespace {

/// A schema that really describes chunks of `type`: the type's own where this build has one, else that of END
/// under the type's letters.
ChunkType schema_for(FourCc type, ByteVector& storage) {
  const std::vector<ChunkType> known = container_chunk_types();
  const auto find = [&](FourCc wanted) {
    return std::find_if(known.begin(), known.end(),
                        [&](const ChunkType& entry) { return entry.type == wanted; });
  };
  if (const auto own = find(type); own != known.end()) return *own;
  ChunkType borrowed = *find(FourCc("END "));
  storage.assign(borrowed.schema.begin(), borrowed.schema.end());
  // The identifier as FlatBuffers stores a string: its length in front, so that no comment is mistaken for
  // it.
  const ByteView stored = as_byte_view(std::string_view("\4\0\0\0END ", 8));
  const auto at = std::search(storage.begin(), storage.end(), stored.begin(), stored.end());
  if (at == storage.end()) std::abort();
  store_le(storage, static_cast<std::size_t>(at - storage.begin()) + 4, type.value());
  borrowed.schema = storage;
  return borrowed;
}

}  // namespace

std::uint32_t RawSnapshot::add_schema(FourCc type, const std::string& name, std::uint16_t major,
                                      std::uint16_t minor) {
  EmbeddedSchema schema;
  const auto manifest = std::find_if(chunks.begin(), chunks.end(),
                                     [](const RawChunk& chunk) { return chunk.spec.type == kChunkManifest; });
  for (const RawChunk& chunk : chunks) {
    if (chunk.spec.type == kChunkSchema) schema.id = std::max(schema.id, chunk.spec.instance);
  }
  RawChunk added;
  schema.id += 1;
  schema.chunk_type = type;
  schema.name = name;
  schema.version = {major, minor};
  ByteVector storage;
  const ChunkType described = schema_for(type, storage);
  schema.root_table = described.root_table;
  added.body.assign(described.schema.begin(), described.schema.end());
  schema.content_hash = xxh3_128(added.body);
  added.spec = {kChunkSchema, 0, schema.id, kChunkCritical};
  added.meta = encode(schema);
  chunks.insert(manifest, std::move(added));
  return schema.id;
}

namespace {

constexpr std::uint64_t kMaxSealedMemory = 64u << 20;

/// Walks a file that may be broken in any way and repairs its hashes front to back.
class Resealer {
 public:
  explicit Resealer(ByteVector& file) : file_(file) {}

  void run() {
    if (file_.size() < kFileHeaderFixedSize + kFooterSize) return;
    const auto header_size = load_le<std::uint32_t>(ByteView(file_), 12);
    if (header_size < kFileHeaderFixedSize || header_size > file_.size() || header_size > kMaxFileHeaderSize)
      return;
    Xxh3Stream header_hash;
    header_hash.update(ByteView(file_).first(120));
    header_hash.update(ByteView(file_).subspan(kFileHeaderFixedSize, header_size - kFileHeaderFixedSize));
    store_le(MutableByteView(file_), 120, header_hash.digest_64());
    std::copy_n(file_.begin() + 32, uuid_.bytes.size(), uuid_.bytes.begin());
    FileHeader header;
    header.uuid = uuid_;
    seed_ = header.hash_seed();
    std::uint64_t at = header_size;
    while (at + kChunkHeaderSize <= file_.size() &&
           load_le<std::uint32_t>(ByteView(file_), at) == kChunkSync) {
      const auto end = seal_chunk(at);
      if (!end) return;
      at = *end;
    }
    if (at + kFooterSize > file_.size()) return;
    const MutableByteView footer = MutableByteView(file_).subspan(at, kFooterSize);
    if (end_seen_) std::copy(root_.bytes.begin(), root_.bytes.end(), footer.begin() + 8);
    store_le(footer, 56, xxh3_64(footer.first(56), seed_));
  }

 private:
  std::optional<std::uint64_t> seal_chunk(std::uint64_t at) {
    const MutableByteView header = MutableByteView(file_).subspan(at, kChunkHeaderSize);
    ChunkHeader fields;
    fields.meta_size = load_le<std::uint32_t>(header, 24);
    fields.gap = load_le<std::uint32_t>(header, 28);
    fields.body_size = load_le<std::uint64_t>(header, 32);
    const auto end = chunk_end(fields, at);
    if (!end || *end > file_.size()) return std::nullopt;
    const FourCc type(load_le<std::uint32_t>(header, 4));
    const MutableByteView meta = MutableByteView(file_).subspan(at + kChunkHeaderSize, fields.meta_size);
    const MutableByteView body = MutableByteView(file_).subspan(
        at + kChunkHeaderSize + fields.meta_size + fields.gap, fields.body_size);
    if (type == kChunkEnd) seal_end(meta);
    if (type == kChunkIndex) seal_index(meta);
    const auto flags = load_le<std::uint32_t>(header, 8);
    if (type == kChunkExtentRam) seal_extents(header, meta, body);
    if ((flags & kChunkLeaves) == 0) {
      store_le(header, 48, xxh3_64(body));
    } else if (type == kChunkFlatRam) {
      seal_ram(header, meta, body);
    }
    store_le(header, 40, xxh3_64(meta));
    std::array<std::byte, 64> covered;
    store_le(MutableByteView(covered), 0, at);
    std::copy_n(header.begin(), 56, covered.begin() + 8);
    store_le(header, 56, xxh3_64(covered, seed_));
    digests_.push_back(chunk_digest(header, meta));
    return end;
  }

  void seal_end(MutableByteView meta) {
    const ByteVector copy(meta.begin(), meta.end());
    const auto end = verified_root<schema::End>(copy, kChunkEnd);
    if (!end || (*end)->root()->size() != 16) return;
    RootHasher hasher(uuid_);
    for (const Digest128& digest : digests_) hasher.add(digest);
    root_ = hasher.root();
    end_seen_ = true;
    const auto at = (*end)->root()->data() - reinterpret_cast<const std::uint8_t*>(copy.data());
    std::copy(root_.bytes.begin(), root_.bytes.end(), meta.begin() + at);
  }

  void seal_index(MutableByteView meta) {
    const ByteVector copy(meta.begin(), meta.end());
    const auto index = verified_root<schema::Index>(copy, kChunkIndex);
    if (!index) return;
    for (std::uint32_t i = 0; i < (*index)->entries()->size() && i < digests_.size(); ++i) {
      const auto at =
          (*index)->entries()->Get(i)->digest()->data() - reinterpret_cast<const std::uint8_t*>(copy.data());
      std::copy(digests_[i].bytes.begin(), digests_[i].bytes.end(), meta.begin() + at);
    }
  }

  static void seal_ram(MutableByteView header, MutableByteView meta, ByteView body) {
    const ByteVector copy(meta.begin(), meta.end());
    const auto ram = verified_root<schema::FlatRam>(copy, kChunkFlatRam);
    if (!ram || (*ram)->extent_shift() > 30 || (*ram)->extent_shift() < 12) return;
    const std::uint64_t extent_size = std::uint64_t{1} << (*ram)->extent_shift();
    std::vector<std::uint64_t> leaves;
    const auto at = (*ram)->leaves()->Data() - reinterpret_cast<const std::uint8_t*>(copy.data());
    for (std::uint32_t i = 0; i < (*ram)->leaves()->size(); ++i) {
      const std::uint64_t begin = std::min<std::uint64_t>(body.size(), i * extent_size);
      leaves.push_back(
          xxh3_64(body.subspan(begin, std::min<std::uint64_t>(extent_size, body.size() - begin))));
      store_le(meta, static_cast<std::size_t>(at) + 8 * i, leaves.back());
    }
    store_le(header, 48, leaves_hash(leaves));
  }

  /// What the guest memory of a batch is, and of the batches before it, where its runs can be followed.
  void seal_extents(MutableByteView header, MutableByteView meta, ByteView body) {
    const ByteVector copy(meta.begin(), meta.end());
    const auto ram = verified_root<schema::ExtentRam>(copy, kChunkExtentRam);
    if (!ram || (*ram)->extent_shift() > 30 || (*ram)->extent_shift() < 12) return;
    const std::uint64_t extent_size = std::uint64_t{1} << (*ram)->extent_shift();
    ExtentRamMeta batch;
    batch.extent_shift = (*ram)->extent_shift();
    batch.first_extent = (*ram)->first_extent();
    std::uint64_t end = batch.begin();
    for (const schema::PageRun* run : *(*ram)->runs()) {
      batch.runs.push_back({static_cast<PageRunKind>(run->kind()), run->pages(), run->source()});
      end += run->pages() * kPageSize;
      if (end > kMaxSealedMemory) return;
    }
    const bool lz4 = (load_le<std::uint32_t>(header, 8) & kChunkCodecMask) != 0;
    ByteVector data(body.begin(), body.end());
    if (lz4 && (*ram)->block_sizes() != nullptr) {
      batch.block_sizes.assign((*ram)->block_sizes()->begin(), (*ram)->block_sizes()->end());
      data = decompressed(batch, body);
    }
    data.resize(end);  // no batch has more; what is missing is zero
    ByteVector& memory = memory_[(*ram)->segment()];
    memory.resize(std::max<std::size_t>(memory.size(), end));
    std::uint64_t at = batch.begin();
    auto next = data.begin();
    for (const PageRun& run : batch.runs) {
      const std::uint64_t size = run.pages * kPageSize;
      const auto to = memory.begin() + static_cast<std::ptrdiff_t>(at);
      if (run.kind == PageRunKind::kData) {
        std::copy_n(next, size, to);
        next += static_cast<std::ptrdiff_t>(size);
      } else if (run.kind == PageRunKind::kDuplicate && run.source <= at && size <= at - run.source) {
        std::copy_n(memory.begin() + static_cast<std::ptrdiff_t>(run.source), size, to);
      }
      at += size;
    }
    std::vector<std::uint64_t> leaves;
    const auto place = (*ram)->leaves()->Data() - reinterpret_cast<const std::uint8_t*>(copy.data());
    for (std::uint32_t i = 0; i < (*ram)->leaves()->size(); ++i) {
      const std::uint64_t begin = std::min(end, batch.begin() + i * extent_size);
      leaves.push_back(xxh3_64(ByteView(memory).subspan(begin, std::min(extent_size, end - begin))));
      store_le(meta, static_cast<std::size_t>(place) + 8 * i, leaves.back());
    }
    store_le(header, 48, leaves_hash(leaves));
  }

  /// The data of a compressed batch; blocks that do not decompress are zero.
  static ByteVector decompressed(const ExtentRamMeta& batch, ByteView body) {
    ByteVector data;
    std::size_t used = 0;
    std::size_t block = 0;
    for (const std::uint32_t size : block_contents(batch)) {
      if (block == batch.block_sizes.size() || batch.block_sizes[block] > body.size() - used) break;
      const ByteView encoded = body.subspan(used, batch.block_sizes[block++]);
      used += encoded.size();
      const std::size_t at = data.size();
      data.resize(at + size);
      if (encoded.size() == size) {
        std::ranges::copy(encoded, data.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        LZ4_decompress_safe(reinterpret_cast<const char*>(encoded.data()),
                            reinterpret_cast<char*>(data.data() + at), static_cast<int>(encoded.size()),
                            static_cast<int>(size));
      }
    }
    return data;
  }

  ByteVector& file_;
  Uuid uuid_;
  std::map<std::uint32_t, ByteVector> memory_;  // by segment, of the extents encoding
  std::uint64_t seed_ = 0;
  std::vector<Digest128> digests_;
  Digest128 root_;
  bool end_seen_ = false;
};

}  // namespace

void reseal(ByteVector& file) {
  Resealer(file).run();
}

}  // namespace vmsnap::test
