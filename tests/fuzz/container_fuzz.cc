// SPDX-License-Identifier: BSD-2-Clause
// Input: a snapshot file. It is opened at every level as it is, and again with all its hashes made right, so
// that what lies behind the hashes is reached. Whatever is opened must then keep its promises.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "raw_snapshot.h"
#include "small_snapshot.h"
#include "snapshot/snapshot_reader.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = as_byte_view(data, size);
  read(bytes);
  ByteVector resealed(bytes.begin(), bytes.end());
  test::reseal(resealed);
  read(resealed);
  return 0;
}
