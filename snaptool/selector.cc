// SPDX-License-Identifier: BSD-2-Clause
#include "selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "format/constants.h"

namespace vmsnap::snaptool {
namespace {

/// The field path when `selector` begins with `name`, or nothing.
std::optional<std::string_view> field_after(std::string_view selector, std::string_view name) {
  if (!selector.starts_with(name)) return std::nullopt;
  selector.remove_prefix(name.size());
  if (selector.empty()) return selector;
  if (!selector.starts_with('.')) return std::nullopt;
  return selector.substr(1);
}

/// The sentence for a selector that names nothing.
Error not_found(const SnapshotReader& reader, std::string_view selector) {
  constexpr std::size_t kMostListed = 64;
  std::string list = "manifest, memory";
  const std::vector<DeviceEntry>& devices = reader.manifest().devices;
  for (const DeviceEntry& device : devices) {
    if (device.instance == kMostListed) break;
    list += ", " + device.path;
  }
  if (devices.size() > kMostListed) list += fmt::format(" and {} more devices", devices.size() - kMostListed);
  return Error(ErrorKind::kUsage,
               fmt::format(
                   "nothing in the snapshot is called \"{}\"; it has {}, and the chunks that `snaptool ls` "
                   "lists as chunk#0 to chunk#{}",
                   selector, list, reader.container().chunks().size() - 1))
      .in_file(reader.container().file().name());
}

}  // namespace

std::vector<ChunkName> chunk_names(const SnapshotReader& reader) {
  std::vector<ChunkName> names;
  names.push_back({"manifest", reader.container().find(kChunkManifest)});
  names.push_back({"memory", reader.container().find(kChunkMemoryMap)});
  if (const ChunkRecord* provenance = reader.container().find(kChunkProvenance)) {
    names.push_back({"provenance", provenance});
  }
  std::map<std::string_view, unsigned> devices_of_type;
  for (const DeviceEntry& device : reader.manifest().devices) {
    names.push_back({device.path, &reader.device_chunk(device.instance)});
    ++devices_of_type[device.type];
  }
  for (const DeviceEntry& device : reader.manifest().devices) {
    if (devices_of_type[device.type] == 1)
      names.push_back({device.type, &reader.device_chunk(device.instance)});
  }
  for (const ChunkRecord& chunk : reader.container().chunks()) {
    names.push_back({fmt::format("chunk#{}", chunk.header.sequence), &chunk});
    names.push_back({chunk.name(), &chunk});
  }
  return names;
}

Result<Selection> select(const SnapshotReader& reader, std::string_view selector) {
  std::optional<Selection> best;
  for (ChunkName& name : chunk_names(reader)) {
    if (best && best->target.name.size() >= name.name.size()) continue;
    if (const auto field = field_after(selector, name.name)) best = Selection{std::move(name), *field};
  }
  if (!best) return not_found(reader, selector);
  return *std::move(best);
}

}  // namespace vmsnap::snaptool
