// SPDX-License-Identifier: BSD-2-Clause
// Input: 1 byte that picks a version of a device chunk type, then a state of it. What can be decoded keeps
// its content through a tree and back; a conversion to any level gives a state that its schema describes, or
// refuses; no step has a bug that some state brings out.
#include <cstdint>
#include <cstdlib>

#include "migrate/convert.h"
#include "reflect/content.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat;
using reflect::SchemaModel;

void expect(bool holds) {
  if (!holds) std::abort();
}

void keep_content(const SchemaModel& model, ByteView state) {
  const auto tree = StateTree::decode(model, state);
  if (!tree) {
    expect(tree.error().kind() == ErrorKind::kCorrupt || tree.error().kind() == ErrorKind::kLimitExceeded);
    return;
  }
  const auto encoded = tree->encode();
  if (!encoded) return expect(encoded.error().kind() == ErrorKind::kLimitExceeded);
  const auto before = reflect::content_digest(model, state);
  const auto after = reflect::content_digest(model, *encoded);
  expect(after.has_value());
  expect(before.has_value() == tree->unknown().empty());
  if (before) expect(*before == *after);
  const auto again = StateTree::decode(model, *encoded);
  expect(again.has_value() && *again->encode() == *encoded);
}

void convert(const Migrator& migrator, const ChunkType& type, ByteView state) {
  DeviceEntry entry;
  entry.path = "fuzz0";
  entry.type = type.name;
  entry.version = type.version;
  entry.readable_since = {type.version.major, 0};
  for (const ReleaseLevel& level : migrator.levels()) {
    const LevelChunk* target = level.find(type.name);
    if (target == nullptr) continue;
    const auto result = migrator.convert(entry, state, *target, AllowedLosses());
    if (!result) {
      expect(result.error().kind() != ErrorKind::kInternal);
      continue;
    }
    expect(result->converted.has_value() != result->report.refused());
    if (!result->converted || entry.version == target->version) continue;
    const auto model = SchemaModel::load(migrator.find(type.name, target->version)->schema);
    expect(StateTree::decode(*model, result->converted->state).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto migrator = Migrator::create();
  expect(migrator.has_value());
  if (size == 0) return 0;
  const std::vector<ChunkType> types = frozen_device_chunk_types();
  const ChunkType& type = types[data[0] % types.size()];
  const ByteView state = as_byte_view(data + 1, size - 1);
  const auto model = SchemaModel::load(type.schema);
  expect(model.has_value());
  keep_content(*model, state);
  convert(*migrator, type, state);
  return 0;
}
