// SPDX-License-Identifier: BSD-2-Clause
// Input: a snapshot file. It is opened at every level as it is, and again with all its hashes made right, so
// that what lies behind the hashes is reached. Whatever is opened must then keep its promises. It is also
// copied, as a file and as a stream.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_copy.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/stream_copy.h"

namespace {

using namespace vmsnap;

void expect(bool holds) {
  if (!holds) std::abort();
}

/// The kinds that say something about the file; any other would be a bug of ours.
void expect_about_the_file(const Error& error) {
  expect(error.kind() == ErrorKind::kTruncated || error.kind() == ErrorKind::kCorrupt ||
         error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kLimitExceeded);
  expect(!error.message().empty());
}

void use(SnapshotReader& reader, bool proven) {
  const Manifest& manifest = reader.manifest();
  expect(restore_order(manifest).size() == manifest.devices.size());
  for (const DeviceEntry& device : manifest.devices) {
    const auto state = reader.device_state(device.instance);
    if (!state) expect_about_the_file(state.error());
    expect(state.has_value() || !proven);
  }
  for (const MemorySegment& segment : reader.memory_map().segments) {
    const auto stored = reader.take_segment(segment.id);
    expect(stored.has_value() || !proven);
    if (!stored) {
      expect_about_the_file(stored.error());
      continue;
    }
    const auto over_file = verify_segment(*stored, {});
    expect(over_file.has_value() || !proven);
    if (!over_file) expect_about_the_file(over_file.error());
    if (!stored->is_mappable()) continue;
    const auto mapping = stored->map();
    expect(mapping.has_value() && mapping->size() == segment.size);
    const auto over_mapping = verify_segment(*stored, mapping->bytes(), {2});
    expect(over_mapping.has_value() == over_file.has_value());
  }
  for (const EmbeddedSchema& schema : reader.schemas()) expect(reader.schema_body(schema).has_value());
  for (const ChunkRecord& chunk : reader.container().chunks())
    expect(chunk.end <= reader.container().file_size());
  expect(reader.unconsumed().size() <= reader.unknown_chunks().size() || !proven);
}

void read(ByteView bytes) {
  const File file = test::memory_file(bytes);
  bool opened_before = true;
  for (const ReadLevel level : {ReadLevel::kHeader, ReadLevel::kMeta, ReadLevel::kFull}) {
    for (const bool allow_unknown_critical : {true, false}) {
      auto reader = SnapshotReader::open(File::adopt(UniqueFd(::dup(file.fd())), "input"),
                                         {level, allow_unknown_critical});
      // A higher level never accepts what a lower one refuses.
      if (allow_unknown_critical) {
        expect(opened_before || !reader.has_value());
        opened_before = reader.has_value();
      }
      if (reader) {
        use(*reader, level == ReadLevel::kFull);
      } else {
        expect_about_the_file(reader.error());
      }
    }
  }
}

/// A copy from a stream succeeds when a copy from the file does, and they hold the same memory.
void copy(ByteView bytes) {
  SnapshotReadOptions tool;
  tool.level = ReadLevel::kFull;
  tool.allow_unknown_critical = true;
  tool.allow_recovered = true;
  const auto original = SnapshotReader::open(test::memory_file(bytes), tool);
  for (const RamEncoding encoding : {RamEncoding::kFlat, RamEncoding::kExtents}) {
    SnapshotWriteOptions options;
    options.encoding = encoding;
    const File from_file = test::memory_file({});
    FileSink file_sink(from_file);
    const bool copied = original && copy_snapshot(*original, file_sink, options).has_value();
    const File input = test::memory_file(bytes);
    StreamSource source(UniqueFd(::dup(input.fd())), "input");
    const File from_stream = test::memory_file({});
    FileSink stream_sink(from_stream);
    const auto streamed = copy_stream(source, stream_sink, options);
    expect(streamed.has_value() == copied);
    if (!streamed) {
      expect_about_the_file(streamed.error());
      continue;
    }
    const auto copy = SnapshotReader::open(File::adopt(UniqueFd(::dup(from_stream.fd())), "copy"), tool);
    expect(copy.has_value() && *copy->memory_digest() == *original->memory_digest());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = as_byte_view(data, size);
  read(bytes);
  copy(bytes);
  ByteVector resealed(bytes.begin(), bytes.end());
  test::reseal(resealed);
  read(resealed);
  copy(resealed);
  return 0;
}
