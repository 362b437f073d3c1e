// SPDX-License-Identifier: BSD-2-Clause
// What must be true of a manifest and a memory map, whoever made them.
#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <set>

#include "base/checked.h"
#include "format/constants.h"
#include "snapshot/manifest.h"
#include "snapshot/manifest_limits.h"
#include "snapshot/schema_meta.h"
#include "snapshot/text.h"

namespace vmsnap {
namespace {

Error corrupt(std::string message, std::string_view field) {
  return Error(ErrorKind::kCorrupt, std::move(message)).in_field(field);
}

Error over_limit(std::string_view what, std::size_t count, std::size_t limit) {
  return Error(ErrorKind::kLimitExceeded,
               fmt::format("{} {} are more than the {} this build is ready for", count, what, limit))
      .in_field(what);
}

Result<void> check_slots(const DeviceEntry& device, std::set<std::string>& slot_names) {
  for (const Slot& slot : device.slots) {
    if (!is_name(slot.name)) return corrupt("a slot has a malformed name", "slots.name");
    if (!slot_names.insert(slot.name).second) {
      return corrupt(fmt::format("two slots of the machine are named \"{}\"", slot.name), "slots.name");
    }
    if (!is_text(slot.hint, kMaxHintLength)) {
      return corrupt(fmt::format("the hint of slot \"{}\" is too long or not UTF-8", slot.name),
                     "slots.hint");
    }
  }
  return {};
}

Result<void> check_device(const DeviceEntry& device, std::uint32_t position, std::size_t device_count) {
  if (device.instance != position) {
    return corrupt(fmt::format("the device in place {} has instance {}", position, device.instance),
                   "instance");
  }
  if (!is_path(device.path))
    return corrupt("a path has 1 to 255 printable characters without spaces", "path");
  if (!is_type_name(device.type)) return corrupt("a type name has 1 to 63 characters a-z, 0-9 and _", "type");
  if (device.version.major == 0) return corrupt("major versions begin with 1", "version");
  if (device.readable_since.major == 0 || device.readable_since > device.version) {
    return corrupt(fmt::format("the state of version {} claims to be readable since {}",
                               to_string(device.version), to_string(device.readable_since)),
                   "readable_since");
  }
  std::set<std::string> features;
  for (const std::string& feature : device.features) {
    if (!is_name(feature)) return corrupt("a feature has a malformed name", "features");
    if (!features.insert(feature).second) {
      return corrupt(fmt::format("feature \"{}\" is listed twice", feature), "features");
    }
  }
  std::set<std::uint32_t> edges;
  for (const std::uint32_t other : device.restore_after) {
    if (other >= device_count || other == position) {
      return corrupt(
          fmt::format("the device is to be restored after instance {}, which is no other device", other),
          "restore_after");
    }
    if (!edges.insert(other).second) {
      return corrupt(fmt::format("instance {} is listed twice", other), "restore_after");
    }
  }
  return {};
}

}  // namespace

Result<void> validate(const Manifest& manifest) {
  if (!is_text(manifest.producer_name, kMaxPathLength) || manifest.producer_name.empty()) {
    return corrupt("the name of the producer is empty, too long or not UTF-8", "producer.name");
  }
  if (!is_text(manifest.producer_version, kMaxPathLength)) {
    return corrupt("the version of the producer is too long or not UTF-8", "producer.version");
  }
  if (!is_text(manifest.comment, kMaxCommentLength))
    return corrupt("the comment is too long or not UTF-8", "comment");
  if (manifest.release_level == 0) return corrupt("release levels begin with 1", "release_level");
  if (manifest.devices.size() > kMaxDevices) {
    return over_limit("devices", manifest.devices.size(), kMaxDevices);
  }
  std::set<std::string> paths;
  std::set<std::string> slot_names;
  for (std::size_t i = 0; i < manifest.devices.size(); ++i) {
    const DeviceEntry& device = manifest.devices[i];
    Result<void> result = check_device(device, static_cast<std::uint32_t>(i), manifest.devices.size());
    if (result) result = check_slots(device, slot_names);
    if (result && !paths.insert(device.path).second) result = corrupt("two devices have this path", "path");
    if (!result) {
      return std::move(
          std::move(result).error().in_device(is_path(device.path) ? device.path : fmt::format("#{}", i)));
    }
  }
  const std::vector<std::uint32_t> order = restore_order(manifest);
  if (order.size() != manifest.devices.size()) {
    const std::set<std::uint32_t> placed(order.begin(), order.end());
    for (const DeviceEntry& device : manifest.devices) {
      if (placed.count(device.instance) != 0) continue;
      return std::move(corrupt("the devices to restore before this one form a circle", "restore_after")
                           .in_device(device.path));
    }
  }
  return {};
}

std::vector<std::uint32_t> restore_order(const Manifest& manifest) {
  std::vector<std::vector<std::uint32_t>> followers(manifest.devices.size());
  std::vector<std::size_t> waits_for(manifest.devices.size());
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (const DeviceEntry& device : manifest.devices) {
    waits_for[device.instance] = device.restore_after.size();
    for (const std::uint32_t other : device.restore_after) followers[other].push_back(device.instance);
    if (device.restore_after.empty()) ready.push(device.instance);
  }
  std::vector<std::uint32_t> order;
  while (!ready.empty()) {
    const std::uint32_t next = ready.top();
    ready.pop();
    order.push_back(next);
    for (const std::uint32_t follower : followers[next]) {
      if (--waits_for[follower] == 0) ready.push(follower);
    }
  }
  return order;
}

Result<void> validate(const MemoryMap& map) {
  const auto whole_pages = [](std::uint64_t value) { return value % kPageSize == 0; };
  if (map.segments.size() > kMaxSegments) return over_limit("segments", map.segments.size(), kMaxSegments);
  if (map.mappings.size() > kMaxMappings) return over_limit("mappings", map.mappings.size(), kMaxMappings);
  std::set<std::string> names;
  for (std::size_t i = 0; i < map.segments.size(); ++i) {
    const MemorySegment& segment = map.segments[i];
    if (segment.id != i)
      return corrupt(fmt::format("the segment in place {} has id {}", i, segment.id), "segments.id");
    if (!is_name(segment.name))
      return corrupt(fmt::format("segment {} has a malformed name", i), "segments.name");
    if (!names.insert(segment.name).second) {
      return corrupt(fmt::format("two segments are named \"{}\"", segment.name), "segments.name");
    }
    if (segment.size == 0 || !whole_pages(segment.size)) {
      return corrupt(fmt::format("segment \"{}\" cannot have {} bytes", segment.name, segment.size),
                     "segments.size");
    }
  }
  std::uint64_t previous_end = 0;
  for (std::size_t i = 0; i < map.mappings.size(); ++i) {
    const MemoryMapping& mapping = map.mappings[i];
    const std::uint64_t address = mapping.guest_address.value();
    if (mapping.segment >= map.segments.size()) {
      return corrupt(fmt::format("mapping {} shows segment {}, which does not exist", i, mapping.segment),
                     "mappings.segment");
    }
    if (mapping.size == 0 || !whole_pages(mapping.size) || !whole_pages(mapping.segment_offset) ||
        !whole_pages(address)) {
      return corrupt(fmt::format("mapping {} does not consist of whole pages", i), "mappings");
    }
    const std::uint64_t segment_size = map.segments[mapping.segment].size;
    if (mapping.segment_offset > segment_size || mapping.size > segment_size - mapping.segment_offset) {
      return corrupt(fmt::format("mapping {} reaches beyond the end of its segment", i), "mappings.size");
    }
    const auto end = checked_add(address, mapping.size);
    if (!end) {
      return corrupt(fmt::format("mapping {} reaches beyond the end of guest physical addresses", i),
                     "mappings.guest_address");
    }
    if (address < previous_end) {
      return corrupt(fmt::format("mapping {} overlaps the one before it or is out of order", i),
                     "mappings.guest_address");
    }
    previous_end = *end;
  }
  return {};
}

}  // namespace vmsnap
