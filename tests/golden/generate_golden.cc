// SPDX-License-Identifier: BSD-2-Clause
// generate_golden DIRECTORY: writes golden snapshots, their expectations and the README that describes them.
//
// Run by hand, never by the build. A golden file that has been committed is never changed or replaced,
// whatever this program would write today: the program is only for new ones. It refuses to write over a file.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "container/chunk_reader.h"
#include "container/index.h"
#include "end_generated.h"
#include "format/digest.h"
#include "lost_generated.h"
#include "ram/extent_ram.h"
#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/recover.h"
#include "snapshot/snapshot_reader.h"

namespace {

using namespace vmsnap;
using test::RawSnapshot;

struct Golden {
  std::string file;      // "good/small.vmsnap"
  std::string verdict;   // ok, truncated, corrupt, unsupported
  std::string fragment;  // of the message; of a good file, the codes of its findings
  std::string sentence;  // for a person
  ByteVector bytes;
};

const FourCc kThing("THNG");

ByteVector small() {
  return test::SmallSnapshot({12u << 10, false}).bytes();
}
RawSnapshot raw() {
  return RawSnapshot::parse(small());
}

ByteVector changed(const std::function<void(RawSnapshot&)>& change) {
  RawSnapshot snapshot = raw();
  change(snapshot);
  return snapshot.bytes();
}

ChunkReader reader_of(const ByteVector& bytes) {
  auto reader = ChunkReader::open(test::memory_file(bytes));
  if (!reader) std::abort();
  return std::move(*reader);
}

/// The chunks of small(), to find places in its bytes.
std::vector<ChunkRecord> chunks_of(const ByteVector& bytes) {
  const ChunkReader reader = reader_of(bytes);
  return {reader.chunks().begin(), reader.chunks().end()};
}

ChunkRecord first(const ByteVector& bytes, FourCc type) {
  const ChunkReader reader = reader_of(bytes);
  const ChunkRecord* chunk = reader.find(type);
  if (chunk == nullptr) std::abort();
  return *chunk;
}

ByteVector flipped(std::uint64_t (*place)(const ByteVector&)) {
  ByteVector bytes = small();
  bytes[place(bytes)] ^= std::byte{0x20};
  return bytes;
}

/// small(), changed in place, with every hash made right again.
ByteVector resealed(const std::function<void(ByteVector&)>& change) {
  ByteVector bytes = small();
  change(bytes);
  test::reseal(bytes);
  return bytes;
}

ByteVector cut(std::uint64_t size) {
  ByteVector bytes = small();
  bytes.resize(size);
  return bytes;
}

ByteVector with_lf(bool lf_becomes_crlf) {
  ByteVector bytes;
  for (const std::byte byte : small()) {
    if (byte == std::byte{'\n'} && lf_becomes_crlf) bytes.push_back(std::byte{'\r'});
    if (byte == std::byte{'\n'} && !lf_becomes_crlf && !bytes.empty() && bytes.back() == std::byte{'\r'})
      bytes.pop_back();
    bytes.push_back(byte);
  }
  return bytes;
}

/// What a chunk of the type holds: add_schema() describes it as END is described.
ByteVector thing_meta() {
  schema::EndT thing;
  thing.chunk_count = 42;
  thing.root.assign(16, 0x11);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::End::Pack(builder, &thing), kThing.to_string().c_str());
  const ByteView bytes = as_byte_view(builder.GetBufferPointer(), builder.GetSize());
  return {bytes.begin(), bytes.end()};
}

void add_thing(RawSnapshot& snapshot, std::uint32_t flags, bool with_body) {
  const std::uint32_t schema = snapshot.add_schema(kThing, "thing");
  snapshot.chunks.push_back(
      {{kThing, schema, 5, flags}, thing_meta(), ByteVector(with_body ? 100 : 0, std::byte{0x22}), 0});
}

ByteVector with_manifest(const std::function<void(Manifest&)>& change) {
  return changed([&](RawSnapshot& snapshot) {
    ByteVector& meta = snapshot.find(kChunkManifest).meta;
    Manifest manifest = decode_manifest(meta).value();
    change(manifest);
    auto encoded = encode(manifest);
    if (!encoded) std::abort();
    meta = *encoded;
  });
}

ByteVector with_memory_map(const std::function<void(MemoryMap&)>& change) {
  return changed([&](RawSnapshot& snapshot) {
    ByteVector& meta = snapshot.find(kChunkMemoryMap).meta;
    MemoryMap map = decode_memory_map(meta).value();
    change(map);
    auto encoded = encode(map);
    if (!encoded) std::abort();
    meta = *encoded;
  });
}

/// Changes text inside a meta to other text of the same length.
ByteVector with_text(FourCc type, std::string_view from, std::string_view to) {
  return changed([&](RawSnapshot& snapshot) {
    ByteVector& meta = snapshot.find(type).meta;
    const std::string_view text(reinterpret_cast<const char*>(meta.data()), meta.size());
    const std::size_t at = text.find(from);
    if (at == std::string_view::npos || from.size() != to.size()) std::abort();
    std::memcpy(meta.data() + at, to.data(), to.size());
  });
}

/// Sets flags of the last device chunk in its header and in the index.
ByteVector with_flags(std::uint32_t flags) {
  return resealed([&](ByteVector& bytes) {
    const std::vector<ChunkRecord> chunks = chunks_of(bytes);
    const ChunkRecord& device = chunks[chunks.size() - 3];
    store_le(MutableByteView(bytes), device.offset + 8, device.header.flags | flags);
    store_le(MutableByteView(bytes), chunks.back().meta_end() - 2 * 48 + 44, device.header.flags | flags);
  });
}

ByteVector with_feature(std::uint8_t bit, const std::string& name) {
  return changed([&](RawSnapshot& snapshot) {
    snapshot.header.features = {{FeatureKind::kIncompatible, bit, name}};
  });
}

constexpr std::uint32_t kTextPages = 2;

/// Guest memory for the extents encoding. Extent 0: `pages` pages of text, three of zeros, one of text,
/// zeros. Extent 1: the same. Extent 2: zeros. Extent 3: three pages of noise, and the end of the segment.
ByteVector extent_memory(std::size_t pages) {
  constexpr std::size_t kExtent = 256u << 10;
  ByteVector memory(3 * kExtent + 3 * kPageSize);
  for (std::size_t page = 0; page < pages + 4; ++page) {
    if (page >= pages && page < pages + 3) continue;
    for (std::size_t i = 0; i < kPageSize; ++i) {
      memory[page * kPageSize + i] = static_cast<std::byte>(i % 64 == 0 ? page + 1 : 'a' + i % 26);
    }
  }
  std::copy_n(memory.begin(), kExtent, memory.begin() + kExtent);
  std::uint64_t state = 1;
  for (std::size_t at = 3 * kExtent; at < memory.size(); ++at) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    memory[at] = static_cast<std::byte>(state >> 56);
  }
  return memory;
}

/// small() with that memory, in the extents encoding.
ByteVector extents(Codec codec) {
  // Compressed, the first extent has more than one block.
  const ByteVector memory = extent_memory(codec == Codec::kNone ? kTextPages : 17);
  const test::SmallSnapshot small({12u << 10, false});
  SnapshotContents contents = small.contents();
  contents.segments[0].bytes = memory;
  contents.memory_map.segments[0].size = memory.size();
  contents.memory_map.mappings[0].size = memory.size();
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  options.encoding = RamEncoding::kExtents;
  options.codec = codec;
  const File file = test::memory_file({});
  if (!write_snapshot(file, contents, device_chunk_types(), options)) std::abort();
  return test::read_whole(file);
}

ExtentRamMeta batch_of(const test::RawChunk& chunk) {
  const auto codec = static_cast<Codec>((chunk.spec.flags & kChunkCodecMask) >> kChunkCodecShift);
  return decode_extent_ram(chunk.meta, extent_memory(kTextPages).size(), chunk.body.size(), codec).value();
}

void put_batch(test::RawChunk& chunk, const ExtentRamMeta& batch) {
  chunk.meta = encode(batch);
  chunk.body_hash = leaves_hash(batch.leaves);
}

/// extents() whose first batch was changed, with every hash made right again.
ByteVector with_batch(Codec codec, const std::function<void(ExtentRamMeta&)>& change) {
  RawSnapshot snapshot = RawSnapshot::parse(extents(codec));
  test::RawChunk& chunk = snapshot.find(kChunkExtentRam);
  ExtentRamMeta batch = batch_of(chunk);
  change(batch);
  put_batch(chunk, batch);
  return snapshot.bytes();
}

/// extents() with the first segment in three chunks: extent 0; extents 1 and 2, which need no body; extent 3.
RawSnapshot batches() {
  RawSnapshot snapshot = RawSnapshot::parse(extents(Codec::kNone));
  test::RawChunk& whole = snapshot.find(kChunkExtentRam);
  const auto position = &whole - snapshot.chunks.data();
  const ExtentRamMeta all = batch_of(whole);
  std::vector<test::RawChunk> parts(3, whole);
  ExtentRamMeta first = all;
  first.leaves = {all.leaves[0]};
  first.runs = {{PageRunKind::kData, kTextPages, 0},
                {PageRunKind::kZero, 3, 0},
                {PageRunKind::kData, 1, 0},
                {PageRunKind::kZero, 60 - kTextPages, 0}};
  parts[0].body.resize((kTextPages + 1) * kPageSize);
  put_batch(parts[0], first);
  ExtentRamMeta second = first;
  second.first_extent = 1;
  second.leaves = {all.leaves[1], all.leaves[2]};
  second.runs = {{PageRunKind::kDuplicate, kTextPages, 0},
                 {PageRunKind::kZero, 3, 0},
                 {PageRunKind::kDuplicate, 1, (kTextPages + 3) * kPageSize},
                 {PageRunKind::kZero, 60 - kTextPages + 64, 0}};
  parts[1].body.clear();
  parts[1].spec.flags = kChunkCritical;
  put_batch(parts[1], second);
  ExtentRamMeta third = first;
  third.first_extent = 3;
  third.leaves = {all.leaves[3]};
  third.runs = {{PageRunKind::kData, 3, 0}};
  parts[2].body.erase(parts[2].body.begin(), parts[2].body.begin() + (kTextPages + 1) * kPageSize);
  put_batch(parts[2], third);
  snapshot.chunks.erase(snapshot.chunks.begin() + position);
  snapshot.chunks.insert(snapshot.chunks.begin() + position, parts.begin(), parts.end());
  return snapshot;
}

ByteVector with_batches(const std::function<void(std::vector<test::RawChunk>&, std::size_t)>& change) {
  RawSnapshot snapshot = batches();
  change(snapshot.chunks, static_cast<std::size_t>(&snapshot.find(kChunkExtentRam) - snapshot.chunks.data()));
  return snapshot.bytes();
}

/// What recover_snapshot() makes of `damaged`, but with a UUID that is always the same.
ByteVector recovered(const ByteVector& damaged) {
  const std::string path = std::filesystem::temp_directory_path() / "vmsnap-generate-golden.vmsnap";
  const auto report = recover_snapshot(test::memory_file(damaged), path);
  if (!report || report->losses.empty()) std::abort();
  RawSnapshot snapshot = RawSnapshot::parse(test::read_whole(path));
  if (snapshot.bytes() != test::read_whole(path)) std::abort();
  std::filesystem::remove(path);
  snapshot.header.uuid = test::test_uuid();
  return snapshot.bytes();
}

ByteVector recovered(ByteVector bytes, std::uint64_t flip) {
  bytes[flip] ^= std::byte{1};
  return recovered(bytes);
}

/// Recovered from a machine without devices that lost its only page of memory.
RawSnapshot lost_page() {
  const ByteVector page(kPageSize, std::byte{'p'});
  SnapshotContents contents;
  contents.manifest.producer_name = "nobody";
  contents.memory_map.segments = {{0, "ram", SegmentKind::kSystemMemory, kPageSize}};
  contents.segments = {{page, false}};
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  const File file = test::memory_file({});
  if (!write_snapshot(file, contents, {}, options)) std::abort();
  const ByteVector bytes = test::read_whole(file);
  return RawSnapshot::parse(recovered(bytes, first(bytes, kChunkFlatRam).body_offset()));
}

ByteVector with_lost(const std::function<void(RawSnapshot&, test::RawChunk& lost)>& change) {
  RawSnapshot snapshot = lost_page();
  change(snapshot, snapshot.find(kChunkLost));
  return snapshot.bytes();
}

/// lost_page() whose list was changed, to what the library would not write.
ByteVector with_losses(const std::function<void(std::vector<std::unique_ptr<schema::LossT>>&)>& change) {
  return with_lost([&](RawSnapshot&, test::RawChunk& lost) {
    schema::LostT table;
    schema::GetLost(lost.meta.data())->UnPackTo(&table);
    if (table.losses.size() != 1) std::abort();
    change(table.losses);
    flatbuffers::FlatBufferBuilder builder;
    schema::FinishLostBuffer(builder, schema::Lost::Pack(builder, &table));
    const ByteView bytes = as_byte_view(builder.GetBufferPointer(), builder.GetSize());
    lost.meta.assign(bytes.begin(), bytes.end());
  });
}

ByteVector with_loss(const std::function<void(schema::LossT&)>& change) {
  return with_losses([&](std::vector<std::unique_ptr<schema::LossT>>& losses) { change(*losses[0]); });
}

/// Not a list: the vtable of its first loss has no reason any more.
ByteVector without_reason() {
  return with_lost([](RawSnapshot&, test::RawChunk& lost) {
    const auto* loss =
        reinterpret_cast<const flatbuffers::Table*>(schema::GetLost(lost.meta.data())->losses()->Get(0));
    const auto at = static_cast<std::size_t>(loss->GetVTable() + schema::Loss::VT_REASON -
                                             reinterpret_cast<const std::uint8_t*>(lost.meta.data()));
    store_le<std::uint16_t>(MutableByteView(lost.meta), at, 0);
  });
}

std::vector<Golden> good() {
  SnapshotContents nothing;
  nothing.manifest.producer_name = "nobody";
  const File empty_machine = test::memory_file({});
  SnapshotWriteOptions options;
  options.uuid = test::test_uuid();
  if (!write_snapshot(empty_machine, nothing, {}, options)) std::abort();

  return {
      {"good/small.vmsnap", "ok", "",
       "Two UARTs, a clock, 12 KiB of memory of which one page is zero, and a boot ROM that is mapped twice.",
       small()},
      {"good/empty-machine.vmsnap", "ok", "", "No device and no memory: the smallest snapshot there can be.",
       test::read_whole(empty_machine)},
      {"good/optional-chunk.vmsnap", "ok", "unknown-optional-chunk",
       "A chunk of unknown type that is not critical, with a body: it is read past.",
       changed([](RawSnapshot& s) { add_thing(s, kChunkSafeToCopy, true); })},
      {"good/optional-leaves.vmsnap", "ok", "unknown-optional-chunk body-not-checked",
       "A chunk of unknown type whose body is hashed by leaves that only its makers can find.",
       changed([](RawSnapshot& s) { add_thing(s, kChunkLeaves, true); })},
      {"good/compatible-feature.vmsnap", "ok", "unknown-compatible-feature",
       "An unknown compatible feature: it is ignored.", changed([](RawSnapshot& s) {
         s.header.features = {{FeatureKind::kCompatible, 63, "golden-test"}};
       })},
      {"good/newer-minor.vmsnap", "ok", "newer-minor-version", "A later minor version of the format.",
       changed([](RawSnapshot& s) { s.header.minor = 9; })},
      {"good/newer-manifest-minor.vmsnap", "ok", "unused-schema newer-minor-version",
       "A manifest whose schema has a later minor version.", changed([](RawSnapshot& s) {
         s.find(kChunkManifest).spec.schema_id = s.add_schema(kChunkManifest, "manifest", 1, 7);
       })},
      {"good/other-order.vmsnap", "ok", "",
       "Devices before memory, both backwards, and a schema only just before its first use.",
       changed([](RawSnapshot& s) {
         auto clock_schema = std::find_if(s.chunks.begin(), s.chunks.end(), [&](const test::RawChunk& chunk) {
           return chunk.spec.type == kChunkSchema &&
                  chunk.spec.instance == s.chunks[s.chunks.size() - 2].spec.schema_id;
         });
         test::RawChunk schema = *clock_schema;
         s.chunks.erase(clock_schema);
         const auto memory = std::find_if(s.chunks.begin(), s.chunks.end(), [](const test::RawChunk& chunk) {
           return chunk.spec.type == kChunkFlatRam;
         });
         std::reverse(memory, s.chunks.end());
         const auto clock = std::find_if(s.chunks.begin(), s.chunks.end(), [](const test::RawChunk& chunk) {
           return chunk.spec.type == FourCc("RTC ");
         });
         s.chunks.insert(clock, schema);
       })},
      {"good/wide-alignment.vmsnap", "ok", "", "Memory bodies aligned to 16 KiB instead of 4 KiB.",
       changed([](RawSnapshot& s) { s.header.body_align_shift = 14; })},
      {"good/feature-ram-extents.vmsnap", "ok", "",
       "Announces the feature ram-extents and has flat memory only.", with_feature(0, "ram-extents")},
      {"good/feature-lz4.vmsnap", "ok", "", "Announces the feature lz4 and compresses nothing.",
       with_feature(1, "lz4")},
      {"good/extents.vmsnap", "ok", "",
       "Memory as extents: zero pages, an extent that repeats another, a short last extent.",
       extents(Codec::kNone)},
      {"good/extents-lz4.vmsnap", "ok", "",
       "The same, compressed: an extent in two blocks, and one whose block is kept as it is.",
       extents(Codec::kLz4)},
      {"good/extents-batches.vmsnap", "ok", "",
       "The same in three chunks, one of which needs no body, instead of one.", batches().bytes()},
      {"good/recovered-memory.vmsnap", "ok", "lost",
       "Recovered from a file with a flipped bit in guest memory: a segment is missing.",
       recovered(small(), first(small(), kChunkFlatRam).body_offset())},
      {"good/recovered-device.vmsnap", "ok", "lost",
       "Recovered from a file with a flipped bit in the state of its first device, which is not in the "
       "manifest.",
       recovered(small(), first(small(), FourCc("UART")).meta_end() - 1)},
      {"good/recovered-extents.vmsnap", "ok", "lost",
       "Recovered from a file with a flipped bit in an extent that another repeats: both are missing.",
       recovered(extents(Codec::kNone), first(extents(Codec::kNone), kChunkExtentRam).body_offset() + 5000)},
      {"good/recovered-extents-lz4.vmsnap", "ok", "lost lost lost lost lost lost",
       "Recovered from a file cut in compressed memory: of the first segment the last extent is missing, and "
       "all "
       "that came after it.",
       [] {
         ByteVector bytes = extents(Codec::kLz4);
         bytes.resize(first(bytes, kChunkExtentRam).body_end() - 1000);
         return recovered(bytes);
       }()},
      {"good/recovered-chunk.vmsnap", "ok", "lost",
       "Recovered without a chunk of unknown type that is not marked as safe to copy.",
       [] {
         ByteVector bytes = changed([](RawSnapshot& s) { add_thing(s, 0, true); });
         return recovered(bytes, bytes.size() - 1);
       }()},
      {"good/recovered-unknown-kind.vmsnap", "ok", "lost", "Lacks something of an unknown kind.",
       with_loss([](schema::LossT& loss) { loss.kind = static_cast<schema::LossKind>(99); })},
  };
}

std::vector<Golden> bad() {
  const ByteVector bytes = small();
  const ChunkRecord ram = first(bytes, kChunkFlatRam);
  return {
      {"bad/empty.vmsnap", "truncated", "inside its header", "No bytes at all.", {}},
      {"bad/cut-in-header.vmsnap", "truncated", "inside its header", "Ends inside the file header.",
       cut(100)},
      {"bad/cut-after-header.vmsnap", "truncated", "another chunk should begin",
       "Ends after the file header.", cut(128)},
      {"bad/cut-in-memory.vmsnap", "truncated", "inside the chunk",
       "Ends inside the body of a memory segment.", cut(ram.body_offset() + 5000)},
      {"bad/no-footer.vmsnap", "truncated", "before its footer", "Ends where the footer should begin.",
       cut(bytes.size() - 64)},
      {"bad/cut-in-footer.vmsnap", "truncated", "before its footer", "Ends one byte early.",
       cut(bytes.size() - 1)},
      {"bad/not-a-snapshot.vmsnap", "corrupt", "not a vmsnap snapshot", "Is something else.",
       ByteVector(4096, std::byte{'#'})},
      {"bad/crlf-to-lf.vmsnap", "corrupt", "binary mode", "Every CR LF became LF on the way.",
       with_lf(false)},
      {"bad/lf-to-crlf.vmsnap", "corrupt", "binary mode", "Every LF became CR LF on the way.", with_lf(true)},
      {"bad/flip-in-file-header.vmsnap", "corrupt", "hash of the file header", "A flipped bit in the UUID.",
       flipped([](const ByteVector&) -> std::uint64_t { return 40; })},
      {"bad/flip-in-chunk-header.vmsnap", "corrupt", "hash of the chunk header",
       "A flipped bit in the instance of a device chunk.",
       flipped([](const ByteVector& b) { return first(b, FourCc("UART")).offset + 20; })},
      {"bad/flip-in-sync.vmsnap", "corrupt", "no chunk header", "A flipped bit in the sync word of a chunk.",
       flipped([](const ByteVector& b) { return first(b, FourCc("UART")).offset; })},
      {"bad/flip-in-state.vmsnap", "corrupt", "hash of the meta", "A flipped bit in the state of a device.",
       flipped([](const ByteVector& b) { return first(b, FourCc("UART")).meta_end() - 1; })},
      {"bad/flip-in-manifest.vmsnap", "corrupt", "hash of the meta", "A flipped bit in the manifest.",
       flipped([](const ByteVector& b) { return first(b, kChunkManifest).meta_offset() + 50; })},
      {"bad/flip-in-schema.vmsnap", "corrupt", "hash of the body", "A flipped bit in an embedded schema.",
       flipped([](const ByteVector& b) { return first(b, kChunkSchema).body_offset() + 500; })},
      {"bad/flip-in-memory.vmsnap", "corrupt", "do not match their hash", "A flipped bit in guest memory.",
       flipped([](const ByteVector& b) { return first(b, kChunkFlatRam).body_offset() + 4100; })},
      {"bad/flip-in-zero-page.vmsnap", "corrupt", "do not match their hash",
       "A flipped bit in a page of guest memory that is zero.",
       flipped([](const ByteVector& b) { return first(b, kChunkFlatRam).body_offset() + 8192; })},
      {"bad/flip-in-gap.vmsnap", "corrupt", "must be zero", "A byte that is not zero between meta and body.",
       flipped([](const ByteVector& b) { return first(b, kChunkFlatRam).body_offset() - 1; })},
      {"bad/flip-in-padding.vmsnap", "corrupt", "must be zero",
       "A byte that is not zero in the padding after a chunk.",
       flipped([](const ByteVector& b) { return first(b, kChunkManifest).end - 1; })},
      {"bad/flip-in-footer.vmsnap", "corrupt", "hash of the footer", "A flipped bit in the footer.",
       flipped([](const ByteVector& b) -> std::uint64_t { return b.size() - 30; })},
      {"bad/trailing-byte.vmsnap", "corrupt", "follow the end", "One byte too many.",
       [&] {
         ByteVector longer = bytes;
         longer.push_back(std::byte{0});
         return longer;
       }()},
      {"bad/lost-block.vmsnap", "corrupt", "zeros where a chunk header belongs",
       "4 KiB of zeros in place of the first chunks.",
       [&] {
         ByteVector holed = bytes;
         std::fill_n(holed.begin() + 128, 4096, std::byte{0});
         return holed;
       }()},
      {"bad/swapped-chunks.vmsnap", "corrupt", "belongs elsewhere",
       "Two device chunks of equal size have changed places.",
       [&] {
         ByteVector swapped = bytes;
         const std::vector<ChunkRecord> chunks = chunks_of(bytes);
         const ChunkRecord& one = chunks[chunks.size() - 5];
         const ChunkRecord& other = chunks[chunks.size() - 3];
         if (one.header.type != other.header.type || one.end - one.offset != other.end - other.offset)
           std::abort();
         std::swap_ranges(swapped.begin() + one.offset, swapped.begin() + one.end,
                          swapped.begin() + other.offset);
         return swapped;
       }()},
      {"bad/foreign-chunk.vmsnap", "corrupt", "belongs elsewhere",
       "A device chunk comes from another snapshot of the same machine.",
       [&] {
         const ByteVector foreign = changed([](RawSnapshot& s) { s.header.uuid.bytes[0] ^= std::byte{1}; });
         ByteVector mixed = bytes;
         const ChunkRecord uart = first(bytes, FourCc("UART"));
         std::copy(foreign.begin() + uart.offset, foreign.begin() + uart.end, mixed.begin() + uart.offset);
         return mixed;
       }()},
      {"bad/sequence.vmsnap", "corrupt", "sequence number",
       "A chunk has the sequence number of the one after it.", resealed([](ByteVector& b) {
         const ChunkRecord map = first(b, kChunkMemoryMap);
         store_le(MutableByteView(b), map.offset + 12, map.header.sequence + 1);
       })},
      {"bad/no-manifest.vmsnap", "corrupt", "CONF must be the first", "There is no manifest.",
       changed([](RawSnapshot& s) {
         s.chunks.erase(s.chunks.begin() + (&s.find(kChunkManifest) - s.chunks.data()));
       })},
      {"bad/two-manifests.vmsnap", "corrupt", "CONF must be the first", "There are two manifests.",
       changed([](RawSnapshot& s) { s.chunks.push_back(s.find(kChunkManifest)); })},
      {"bad/no-memory-map.vmsnap", "corrupt", "MEMM must follow CONF", "There is no memory map.",
       changed([](RawSnapshot& s) {
         s.chunks.erase(s.chunks.begin() + (&s.find(kChunkMemoryMap) - s.chunks.data()));
       })},
      {"bad/schema-missing.vmsnap", "corrupt", "no SCHM chunk before it",
       "A device chunk names a schema that is not there.",
       changed([](RawSnapshot& s) { s.chunks.back().spec.schema_id = 200; })},
      {"bad/schema-of-other-type.vmsnap", "corrupt", "which describes",
       "A device chunk names the schema of another type.", changed([](RawSnapshot& s) {
         s.chunks.back().spec.schema_id = s.find(kChunkManifest).spec.schema_id;
       })},
      {"bad/schema-content-hash.vmsnap", "corrupt", "content hash",
       "A schema is not the one its meta describes.",
       changed([](RawSnapshot& s) { s.find(kChunkSchema).body[300] ^= std::byte{1}; })},
      {"bad/index-offset.vmsnap", "corrupt", "the index disagrees", "The index has a wrong offset for END.",
       resealed([](ByteVector& b) { b[chunks_of(b).back().meta_end() - 48] ^= std::byte{64}; })},
      {"bad/index-digest.vmsnap", "corrupt", "digest of the chunk", "The index has a wrong digest for END.",
       [&] {
         ByteVector wrong = bytes;
         const ChunkRecord index = chunks_of(bytes).back();
         wrong[index.meta_end() - 48 + 16] ^= std::byte{1};
         ChunkHeader header = index.header;
         header.meta_hash = xxh3_64(ByteView(wrong).subspan(index.meta_offset(), header.meta_size));
         FileHeader file_header;
         file_header.uuid = test::test_uuid();
         const EncodedChunkHeader encoded = encode(header, file_header.hash_seed(), index.offset);
         std::copy(encoded.begin(), encoded.end(), wrong.begin() + index.offset);
         return wrong;
       }()},
      {"bad/end-count.vmsnap", "corrupt", "END disagrees", "END counts one chunk too few.",
       resealed([](ByteVector& b) {
         const std::vector<ChunkRecord> chunks = chunks_of(b);
         const ChunkRecord& end = chunks[chunks.size() - 2];
         // chunk_count is the only u32 of that value in this small meta.
         for (std::uint64_t at = end.meta_offset(); at + 4 <= end.meta_end(); at += 4) {
           if (load_le<std::uint32_t>(ByteView(b), at) == end.header.sequence) {
             store_le(MutableByteView(b), at, end.header.sequence - 1);
             return;
           }
         }
         std::abort();
       })},
      {"bad/footer-size.vmsnap", "corrupt", "footer and the chunks differ",
       "The footer states another size of the file.",
       resealed([](ByteVector& b) { b[b.size() - 64 + 32] ^= std::byte{64}; })},
      {"bad/device-without-chunk.vmsnap", "corrupt", "no chunk holds the state",
       "The chunk of a device in the manifest is missing.",
       changed([](RawSnapshot& s) { s.chunks.pop_back(); })},
      {"bad/device-with-two-chunks.vmsnap", "corrupt", "two chunks hold the state",
       "A device has two chunks.", changed([](RawSnapshot& s) { s.chunks.push_back(s.chunks.back()); })},
      {"bad/chunk-without-device.vmsnap", "corrupt", "with instance 9",
       "A chunk belongs to no device of the manifest.",
       changed([](RawSnapshot& s) { s.chunks.back().spec.instance = 9; })},
      {"bad/device-version.vmsnap", "corrupt", "its schema version",
       "The manifest states another version for a device than the schema of its chunk.",
       with_manifest([](Manifest& m) {
         m.devices[2].version = {1, 4};
       })},
      {"bad/duplicate-path.vmsnap", "corrupt", "two devices have this path",
       "Two devices are at the same place of the machine.",
       with_text(kChunkManifest, "isa0/uart@2f8", "isa0/uart@3f8")},
      {"bad/memory-without-chunk.vmsnap", "corrupt", "no chunk holds memory segment",
       "The chunk of a memory segment is missing.", with_memory_map([](MemoryMap& m) {
         m.segments.push_back({2, "ram-high", SegmentKind::kSystemMemory, 4096});
       })},
      {"bad/memory-size.vmsnap", "corrupt", "the memory segment",
       "A memory segment has another size than its chunk.",
       with_memory_map([](MemoryMap& m) { m.segments[1].size = 8192; })},
      {"bad/leaves.vmsnap", "corrupt", "leaves do not match",
       "The leaves of a memory segment are not those that its header covers.",
       changed([](RawSnapshot& s) { s.find(kChunkFlatRam).body_hash ^= 1; })},
      {"bad/meta-not-a-flatbuffer.vmsnap", "corrupt", "not a sound FlatBuffer",
       "The root of the memory map lies outside its meta, with all hashes right.",
       changed([](RawSnapshot& s) {
         store_le<std::uint32_t>(MutableByteView(s.find(kChunkMemoryMap).meta), 0, 0x7FFFFFF0);
       })},
      {"bad/identifier.vmsnap", "corrupt", "not a FlatBuffer of the chunk's type",
       "The state of a device has the identifier of another type.",
       changed([](RawSnapshot& s) { std::memcpy(s.chunks.back().meta.data() + 4, "RTC ", 4); })},
      {"bad/manifest-not-critical.vmsnap", "corrupt", "has the flag CRITICAL",
       "The chunk of the manifest lacks the flag CRITICAL.",
       changed([](RawSnapshot& s) { s.find(kChunkManifest).spec.flags = kChunkSafeToCopy; })},
      {"bad/memory-map-instance.vmsnap", "corrupt", "has instance 0, this one 1",
       "The chunk of the memory map has an instance other than 0.",
       changed([](RawSnapshot& s) { s.find(kChunkMemoryMap).spec.instance = 1; })},
      {"bad/extents-flip.vmsnap", "corrupt", "do not match their hash",
       "A flipped bit in guest memory that is stored as extents.",
       [] {
         ByteVector flip = extents(Codec::kNone);
         flip[first(flip, kChunkExtentRam).body_offset() + 5000] ^= std::byte{8};
         return flip;
       }()},
      {"bad/extents-not-lz4.vmsnap", "corrupt", "does not decompress",
       "A compressed block whose first bytes were lost.",
       [] {
         ByteVector lost = extents(Codec::kLz4);
         std::fill_n(lost.begin() + static_cast<std::ptrdiff_t>(first(lost, kChunkExtentRam).body_offset()),
                     40, std::byte{0});
         return lost;
       }()},
      {"bad/extents-feature.vmsnap", "corrupt", "does not announce the feature \"ram-extents\"",
       "Memory as extents, which the file header does not announce.",
       [] {
         RawSnapshot s = RawSnapshot::parse(extents(Codec::kNone));
         s.header.features.clear();
         return s.bytes();
       }()},
      {"bad/extents-feature-lz4.vmsnap", "corrupt", "does not announce the feature \"lz4\"",
       "Compressed memory, which the file header does not announce.",
       [] {
         RawSnapshot s = RawSnapshot::parse(extents(Codec::kLz4));
         s.header.features.pop_back();
         return s.bytes();
       }()},
      {"bad/extents-runs-short.vmsnap", "corrupt", "do not reach the end",
       "The runs of a batch leave out its last page.",
       with_batch(Codec::kNone, [](ExtentRamMeta& m) { m.runs.back().pages -= 1; })},
      {"bad/extents-runs-long.vmsnap", "corrupt", "does not fit into its batch",
       "The runs of a batch are a page too long.",
       with_batch(Codec::kNone, [](ExtentRamMeta& m) { m.runs.back().pages += 1; })},
      {"bad/extents-data.vmsnap", "corrupt", "bytes of data, the body",
       "The runs of a batch have a page of data more than its body.",
       with_batch(Codec::kNone,
                  [](ExtentRamMeta& m) {
                    m.runs[0].pages += 1;
                    m.runs[1].pages -= 1;
                  })},
      {"bad/extents-repeat-itself.vmsnap", "corrupt", "impossible source", "Pages repeat themselves.",
       with_batch(Codec::kNone, [](ExtentRamMeta& m) { m.runs[4].source = 64 * kPageSize; })},
      {"bad/extents-repeat-zero.vmsnap", "corrupt", "where no data is", "Pages repeat pages that are zero.",
       with_batch(Codec::kNone, [](ExtentRamMeta& m) { m.runs[4].source = (kTextPages + 1) * kPageSize; })},
      {"bad/extents-blocks-few.vmsnap", "corrupt", "block_sizes", "A block has no size.",
       with_batch(Codec::kLz4, [](ExtentRamMeta& m) { m.block_sizes.pop_back(); })},
      {"bad/extents-block-large.vmsnap", "corrupt", "cannot hold",
       "A block is larger in the file than what it holds.",
       with_batch(Codec::kLz4, [](ExtentRamMeta& m) { m.block_sizes[0] = 70'000; })},
      {"bad/extents-leaves.vmsnap", "corrupt", "leaves do not match",
       "The leaves of a batch are not those that its header covers.",
       [] {
         RawSnapshot s = RawSnapshot::parse(extents(Codec::kNone));
         s.find(kChunkExtentRam).body_hash ^= 1;
         return s.bytes();
       }()},
      {"bad/extents-missing.vmsnap", "corrupt", "goes on at",
       "A batch in the middle of a segment is missing.",
       with_batches([](std::vector<test::RawChunk>& chunks, std::size_t at) {
         chunks.erase(chunks.begin() + static_cast<std::ptrdiff_t>(at) + 1);
       })},
      {"bad/extents-end-missing.vmsnap", "corrupt", "ends at", "The last batch of a segment is missing.",
       with_batches([](std::vector<test::RawChunk>& chunks, std::size_t at) {
         chunks.erase(chunks.begin() + static_cast<std::ptrdiff_t>(at) + 2);
       })},
      {"bad/extents-order.vmsnap", "corrupt", "goes on at", "Two batches of a segment have changed places.",
       with_batches([](std::vector<test::RawChunk>& chunks, std::size_t at) {
         std::swap(chunks[at], chunks[at + 2]);
       })},
      {"bad/extents-and-flat.vmsnap", "corrupt", "two chunks hold", "One memory segment in both encodings.",
       [] {
         RawSnapshot s = RawSnapshot::parse(extents(Codec::kNone));
         const RawSnapshot flat = raw();
         const std::uint32_t schema = s.add_schema(kChunkFlatRam, "flat_ram");
         for (test::RawChunk chunk : flat.chunks) {
           if (chunk.spec.type != kChunkFlatRam) continue;
           chunk.spec.schema_id = schema;
           s.chunks.push_back(chunk);
         }
         return s.bytes();
       }()},
      {"bad/lost-feature.vmsnap", "corrupt", "does not announce the feature \"recovered\"",
       "A list of what is missing, which the file header does not announce.",
       with_lost([](RawSnapshot& s, test::RawChunk&) { s.header.features.clear(); })},
      {"bad/lost-place.vmsnap", "corrupt", "must follow LOST", "A chunk stands between LOST and END.",
       with_lost([](RawSnapshot& s, test::RawChunk&) { std::swap(s.chunks.back(), s.chunks.end()[-2]); })},
      {"bad/lost-before-schema.vmsnap", "corrupt", "must follow LOST",
       "A schema stands between LOST and END.", with_lost([](RawSnapshot& s, test::RawChunk&) {
         test::RawChunk schema = s.find(kChunkSchema);
         schema.spec.instance = 99;
         s.chunks.push_back(schema);
       })},
      {"bad/lost-twice.vmsnap", "corrupt", "must follow LOST", "There are two lists of what is missing.",
       with_lost([](RawSnapshot& s, test::RawChunk& lost) { s.chunks.push_back(test::RawChunk(lost)); })},
      {"bad/lost-instance.vmsnap", "corrupt", "has instance 0, this one 1",
       "The chunk LOST has an instance other than 0.",
       with_lost([](RawSnapshot&, test::RawChunk& lost) { lost.spec.instance = 1; })},
      {"bad/lost-not-critical.vmsnap", "corrupt", "has the flag CRITICAL",
       "The chunk LOST lacks the flag CRITICAL.",
       with_lost([](RawSnapshot&, test::RawChunk& lost) { lost.spec.flags = kChunkSafeToCopy; })},
      {"bad/lost-body.vmsnap", "corrupt", "body", "The chunk LOST has a body.",
       with_lost([](RawSnapshot&, test::RawChunk& lost) { lost.body.resize(64); })},
      {"bad/lost-identifier.vmsnap", "corrupt", "not a FlatBuffer of the chunk's type",
       "The meta of LOST has the identifier of another type.",
       with_lost([](RawSnapshot&, test::RawChunk& lost) { std::memcpy(lost.meta.data() + 4, "END ", 4); })},
      {"bad/lost-flip.vmsnap", "corrupt", "hash of the meta", "A flipped bit in the list of what is missing.",
       [] {
         ByteVector flip = lost_page().bytes();
         flip[first(flip, kChunkLost).meta_end() - 1] ^= std::byte{1};
         return flip;
       }()},
      {"bad/lost-nothing.vmsnap", "corrupt", "nothing is missing", "The list of what is missing is empty.",
       with_losses([](std::vector<std::unique_ptr<schema::LossT>>& losses) { losses.clear(); })},
      {"bad/lost-reason-absent.vmsnap", "corrupt", "not a sound FlatBuffer", "A loss has no reason.",
       without_reason()},
      {"bad/lost-reason-empty.vmsnap", "corrupt", "a reason is empty", "A loss has an empty reason.",
       with_loss([](schema::LossT& loss) { loss.reason.clear(); })},
      {"bad/lost-reason-long.vmsnap", "corrupt", "too long", "A loss has a reason of 1025 bytes.",
       with_loss([](schema::LossT& loss) { loss.reason.assign(1025, 'r'); })},
      {"bad/lost-reason-not-utf8.vmsnap", "corrupt", "not UTF-8", "A loss has a reason that is not UTF-8.",
       with_loss([](schema::LossT& loss) { loss.reason = "\xC0\x80"; })},
      {"bad/lost-path.vmsnap", "corrupt", "path is malformed", "A device is missing whose path has a blank.",
       with_loss([](schema::LossT& loss) {
         loss.kind = schema::LossKind::Device;
         loss.path = "isa0/uart 3f8";
       })},
      {"bad/lost-type.vmsnap", "corrupt", "type is malformed",
       "A device is missing whose type has 64 letters.", with_loss([](schema::LossT& loss) {
         loss.kind = schema::LossKind::Device;
         loss.type.assign(64, 't');
       })},
      {"bad/lost-segment.vmsnap", "corrupt", "which the memory map has not",
       "Memory is missing of a segment that there is not.",
       with_loss([](schema::LossT& loss) { loss.segment = 1; })},
      {"bad/lost-offset.vmsnap", "corrupt", "are missing of a segment",
       "Memory is missing from behind its segment.",
       with_loss([](schema::LossT& loss) { loss.offset = kPageSize; })},
      {"bad/lost-wrap.vmsnap", "corrupt", "are missing of a segment",
       "The end of memory that is missing is too large a number.",
       with_loss([](schema::LossT& loss) { loss.offset = ~std::uint64_t{0} - kPageSize + 1; })},
      {"bad/lost-size.vmsnap", "corrupt", "are missing of a segment",
       "More memory is missing than the segment has.",
       with_loss([](schema::LossT& loss) { loss.size = 2 * kPageSize; })},
      {"bad/lost-no-bytes.vmsnap", "corrupt", "0 bytes", "No bytes of memory are missing.",
       with_loss([](schema::LossT& loss) { loss.size = 0; })},
      {"bad/lost-part-of-page.vmsnap", "corrupt", "100 bytes", "Part of a page is missing.",
       with_loss([](schema::LossT& loss) { loss.size = 100; })},
  };
}

std::vector<Golden> unsupported() {
  return {
      {"unsupported/major-2.vmsnap", "unsupported", "format version 2.0",
       "A later major version of the format.", changed([](RawSnapshot& s) { s.header.major = 2; })},
      {"unsupported/feature-unknown.vmsnap", "unsupported", "\"golden-test\"",
       "An unknown incompatible feature.", with_feature(63, "golden-test")},
      {"unsupported/feature-diff.vmsnap", "unsupported", "\"diff\"", "The reserved feature diff.",
       with_feature(2, "diff")},
      {"unsupported/feature-recovered.vmsnap", "unsupported", "\"recovered\"",
       "The mark of a recovered file, without the list of what it lacks.", with_feature(3, "recovered")},
      {"unsupported/digest-algorithm.vmsnap", "unsupported", "digest algorithm 2",
       "Another digest algorithm.", changed([](RawSnapshot& s) { s.header.digest_algorithm = 2; })},
      {"unsupported/page-size.vmsnap", "unsupported", "pages of 2^14", "Another page size.",
       changed([](RawSnapshot& s) { s.header.page_shift = 14; })},
      {"unsupported/architecture.vmsnap", "unsupported", "architecture 77",
       "A guest of another architecture.", changed([](RawSnapshot& s) { s.header.arch = 77; })},
      {"unsupported/critical-chunk.vmsnap", "unsupported", "critical chunk THNG",
       "A critical chunk of unknown type.",
       changed([](RawSnapshot& s) { add_thing(s, kChunkCritical, false); })},
      {"unsupported/chunk-flag.vmsnap", "unsupported", "flags", "An unknown flag of a chunk.",
       with_flags(1u << 7)},
      {"unsupported/codec.vmsnap", "unsupported", "codec 1",
       "A chunk whose body is encoded with the codec lz4, which its type does not have.",
       with_flags(1u << 8)},
      {"unsupported/manifest-2.vmsnap", "unsupported", "version 2.0, this build reads version 1.0",
       "A manifest of a later major version.", changed([](RawSnapshot& s) {
         s.find(kChunkManifest).spec.schema_id = s.add_schema(kChunkManifest, "manifest", 2, 0);
       })},
      {"unsupported/lost-2.vmsnap", "unsupported", "version 2.0, this build reads version 1.0",
       "A list of what is missing of a later major version.", with_lost([](RawSnapshot& s, test::RawChunk&) {
         const std::uint32_t schema = s.add_schema(kChunkLost, "lost", 2, 0);
         s.find(kChunkLost).spec.schema_id = schema;
       })},
      {"unsupported/slot-kind.vmsnap", "unsupported", "slots of kind 99", "A slot of unknown kind.",
       with_manifest([](Manifest& m) { m.devices[0].slots[0].kind = static_cast<SlotKind>(99); })},
      {"unsupported/segment-kind.vmsnap", "unsupported", "memory of kind 9",
       "A memory segment of unknown kind.",
       with_memory_map([](MemoryMap& m) { m.segments[1].kind = static_cast<SegmentKind>(9); })},
      {"unsupported/extents-parent.vmsnap", "unsupported", "has kind 3",
       "Pages that are in the parent of a diff, which version 1.0 has not.",
       with_batch(Codec::kNone, [](ExtentRamMeta& m) { m.runs[1].kind = PageRunKind::kParent; })},
      {"unsupported/extents-codec.vmsnap", "unsupported", "codec 2", "A batch encoded with an unknown codec.",
       [] {
         ByteVector bytes = extents(Codec::kLz4);
         const std::vector<ChunkRecord> chunks = chunks_of(bytes);
         for (const ChunkRecord& chunk : chunks) {
           if (chunk.header.type != kChunkExtentRam) continue;
           const std::uint32_t flags = chunk.header.flags ^ 3u << kChunkCodecShift;
           store_le(MutableByteView(bytes), chunk.offset + 8, flags);
           const std::uint64_t from_end = chunks.size() - 1 - chunk.header.sequence;
           store_le(MutableByteView(bytes), chunks.back().meta_end() - from_end * 48 + 44, flags);
         }
         test::reseal(bytes);
         return bytes;
       }()},
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::string readme =
      "# Golden snapshots\n\n"
      "A file here is what some released version wrote, or what every version must refuse. Files are added, "
      "never\n"
      "changed: every later build has to read the files in `good/`, and has to refuse the others for the "
      "stated reason.\n"
      "`generate_golden.cc` made them; `expectations.tsv` says for programs what this text says for people: "
      "file,\n"
      "verdict, and a part of the message (of a good file: what a check finds worth mentioning).\n";
  std::string expectations;
  for (const auto& [title, files] : {std::pair("Sound", good()), std::pair("Damaged", bad()),
                                     std::pair("Sound, but beyond version 1.0", unsupported())}) {
    readme += fmt::format("\n## {}\n\n| file | what it is | verdict |\n|---|---|---|\n", title);
    for (const Golden& golden : files) {
      const std::filesystem::path path = directory / golden.file;
      std::filesystem::create_directories(path.parent_path());
      if (std::filesystem::exists(path)) {
        if (test::read_whole(path.string()) != golden.bytes) {
          std::printf("kept, although it would be different today: %s\n", golden.file.c_str());
        }
      } else {
        test::write_whole(path.string(), golden.bytes);
      }
      readme += fmt::format("| `{}` | {} | {} |\n", golden.file, golden.sentence, golden.verdict);
      expectations += fmt::format("{}\t{}\t{}\n", golden.file, golden.verdict, golden.fragment);
    }
  }
  std::ofstream(directory / "README.md") << readme;
  std::ofstream(directory / "expectations.tsv") << expectations;
  return 0;
}
