// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/manifest.h"

#include <fmt/format.h>

#include "conf_generated.h"
#include "container/flatbuffer.h"
#include "memm_generated.h"
#include "snapshot/manifest_limits.h"

namespace vmsnap {
namespace {

Result<ByteVector> finished(const flatbuffers::FlatBufferBuilder& builder, FourCc type) {
  if (builder.GetSize() > kMaxMetaSize) {
    return Error(ErrorKind::kLimitExceeded,
                 fmt::format("the meta of {} bytes is larger than the 16 MiB that the "
                             "format allows",
                             builder.GetSize()))
        .in_chunk(type.to_string());
  }
  return take_bytes(builder);
}

flatbuffers::Offset<schema::Slot> encode_slot(flatbuffers::FlatBufferBuilder& builder, const Slot& slot) {
  const auto name = builder.CreateString(slot.name);
  const auto hint =
      slot.hint.empty() ? flatbuffers::Offset<flatbuffers::String>() : builder.CreateString(slot.hint);
  schema::SlotBuilder table(builder);
  table.add_name(name);
  table.add_kind(static_cast<schema::SlotKind>(slot.kind));
  if (!slot.hint.empty()) table.add_hint(hint);
  if (slot.size) table.add_size(*slot.size);
  table.add_read_only(slot.read_only);
  return table.Finish();
}

flatbuffers::Offset<schema::Device> encode_device(flatbuffers::FlatBufferBuilder& builder,
                                                  const DeviceEntry& device) {
  const auto version = schema::CreateChunkVersion(builder, device.version.major, device.version.minor);
  const auto since =
      schema::CreateChunkVersion(builder, device.readable_since.major, device.readable_since.minor);
  std::vector<flatbuffers::Offset<schema::Slot>> slots;
  for (const Slot& slot : device.slots) slots.push_back(encode_slot(builder, slot));
  const auto path = builder.CreateString(device.path);
  const auto type = builder.CreateString(device.type);
  const auto features = builder.CreateVectorOfStrings(device.features);
  const auto restore_after = builder.CreateVector(device.restore_after);
  const auto slot_vector = builder.CreateVector(slots);
  return schema::CreateDevice(builder, device.instance, path, type, version, since, features, restore_after,
                              slot_vector);
}

/// Copies out of a verified buffer. A small buffer may name the same string or vector many times over, so
/// what is copied is counted: it may be no more than an honest buffer of the largest size could hold.
class ManifestDecoder {
 public:
  Result<Manifest> decode(const schema::Manifest& table) {
    Manifest manifest;
    VMSNAP_RETURN_IF_ERROR(copy(table.producer()->name(), manifest.producer_name));
    VMSNAP_RETURN_IF_ERROR(copy(table.producer()->version(), manifest.producer_version));
    VMSNAP_RETURN_IF_ERROR(copy(table.comment(), manifest.comment));
    manifest.created = table.created();
    manifest.release_level = table.release_level();
    manifest.vcpu_count = table.vcpu_count();
    if (table.devices()->size() > kMaxDevices) {
      return Error(ErrorKind::kLimitExceeded,
                   fmt::format("{} devices are more than the {} this build is ready for",
                               table.devices()->size(), kMaxDevices))
          .in_field("devices");
    }
    for (const schema::Device* device : *table.devices()) {
      VMSNAP_RETURN_IF_ERROR(decode_device(*device, manifest.devices.emplace_back()));
    }
    return manifest;
  }

 private:
  Result<void> spend(std::size_t bytes) {
    if (bytes > budget_) {
      return Error(ErrorKind::kLimitExceeded,
                   "the manifest unfolds to more than the 16 MiB that a meta may have");
    }
    budget_ -= bytes;
    return {};
  }

  Result<void> copy(const flatbuffers::String* from, std::string& to) {
    if (from == nullptr) return {};
    VMSNAP_RETURN_IF_ERROR(spend(from->size() + sizeof(std::string)));
    to = from->str();
    return {};
  }

  Result<void> decode_device(const schema::Device& table, DeviceEntry& device) {
    device.instance = table.instance();
    VMSNAP_RETURN_IF_ERROR(copy(table.path(), device.path));
    VMSNAP_RETURN_IF_ERROR(copy(table.type(), device.type));
    device.version = {table.version()->major(), table.version()->minor()};
    device.readable_since = {table.readable_since()->major(), table.readable_since()->minor()};
    if (table.features() != nullptr) {
      for (const flatbuffers::String* feature : *table.features()) {
        VMSNAP_RETURN_IF_ERROR(copy(feature, device.features.emplace_back()));
      }
    }
    if (table.restore_after() != nullptr) {
      VMSNAP_RETURN_IF_ERROR(spend(table.restore_after()->size() * sizeof(std::uint32_t)));
      device.restore_after.assign(table.restore_after()->begin(), table.restore_after()->end());
    }
    if (table.slots() != nullptr) {
      for (const schema::Slot* slot : *table.slots()) {
        VMSNAP_RETURN_IF_ERROR(decode_slot(*slot, device.slots.emplace_back()));
      }
    }
    return {};
  }

  Result<void> decode_slot(const schema::Slot& table, Slot& slot) {
    VMSNAP_RETURN_IF_ERROR(copy(table.name(), slot.name));
    VMSNAP_RETURN_IF_ERROR(copy(table.hint(), slot.hint));
    slot.kind = static_cast<SlotKind>(table.kind());
    if (const auto size = table.size(); size.has_value()) slot.size = *size;
    slot.read_only = table.read_only();
    return {};
  }

  std::size_t budget_ = kMaxMetaSize;
};

}  // namespace

Result<ByteVector> encode(const Manifest& manifest) {
  VMSNAP_RETURN_IF_ERROR(validate(manifest));
  flatbuffers::FlatBufferBuilder builder(4096);
  std::vector<flatbuffers::Offset<schema::Device>> devices;
  for (const DeviceEntry& device : manifest.devices) devices.push_back(encode_device(builder, device));
  const auto name = builder.CreateString(manifest.producer_name);
  const auto version = builder.CreateString(manifest.producer_version);
  const auto producer = schema::CreateProducer(builder, name, version);
  const auto device_vector = builder.CreateVector(devices);
  const auto comment = manifest.comment.empty() ? flatbuffers::Offset<flatbuffers::String>()
                                                : builder.CreateString(manifest.comment);
  schema::FinishManifestBuffer(
      builder, schema::CreateManifest(builder, producer, manifest.created, manifest.release_level,
                                      manifest.vcpu_count, device_vector, comment));
  return finished(builder, kChunkManifest);
}

Result<ByteVector> encode(const MemoryMap& map) {
  VMSNAP_RETURN_IF_ERROR(validate(map));
  flatbuffers::FlatBufferBuilder builder(1024);
  std::vector<flatbuffers::Offset<schema::MemorySegment>> segments;
  for (const MemorySegment& segment : map.segments) {
    segments.push_back(schema::CreateMemorySegmentDirect(builder, segment.id, segment.name.c_str(),
                                                         static_cast<schema::SegmentKind>(segment.kind),
                                                         segment.size));
  }
  std::vector<flatbuffers::Offset<schema::MemoryMapping>> mappings;
  for (const MemoryMapping& mapping : map.mappings) {
    mappings.push_back(schema::CreateMemoryMapping(builder, mapping.segment, mapping.segment_offset,
                                                   mapping.guest_address.value(), mapping.size,
                                                   mapping.read_only));
  }
  const auto segment_vector = builder.CreateVector(segments);
  const auto mapping_vector = builder.CreateVector(mappings);
  schema::FinishMemoryMapBuffer(builder, schema::CreateMemoryMap(builder, segment_vector, mapping_vector));
  return finished(builder, kChunkMemoryMap);
}

Result<Manifest> decode_manifest(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* table, verified_root<schema::Manifest>(meta, kChunkManifest));
  VMSNAP_ASSIGN_OR_RETURN(Manifest manifest, ManifestDecoder().decode(*table));
  VMSNAP_RETURN_IF_ERROR(validate(manifest));
  return manifest;
}

Result<MemoryMap> decode_memory_map(ByteView meta) {
  VMSNAP_ASSIGN_OR_RETURN(const auto* table, verified_root<schema::MemoryMap>(meta, kChunkMemoryMap));
  if (table->segments()->size() > kMaxSegments || table->mappings()->size() > kMaxMappings) {
    return Error(ErrorKind::kLimitExceeded,
                 "there are more memory segments or mappings than this build is ready for")
        .in_field("segments");
  }
  MemoryMap map;
  for (const schema::MemorySegment* segment : *table->segments()) {
    if (segment->name()->size() > kMaxNameLength) {
      return Error(ErrorKind::kCorrupt, "a segment has a malformed name").in_field("segments.name");
    }
    map.segments.push_back(
        {segment->id(), segment->name()->str(), static_cast<SegmentKind>(segment->kind()), segment->size()});
  }
  for (const schema::MemoryMapping* mapping : *table->mappings()) {
    map.mappings.push_back({mapping->segment(), mapping->segment_offset(), Gpa(mapping->guest_address()),
                            mapping->size(), mapping->read_only()});
  }
  VMSNAP_RETURN_IF_ERROR(validate(map));
  return map;
}

}  // namespace vmsnap
