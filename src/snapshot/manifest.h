// SPDX-License-Identifier: BSD-2-Clause
// The manifest (CONF) and the memory map (MEMM) as plain values, and their encoding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/gpa.h"
#include "base/result.h"
#include "format/chunk_type.h"

namespace vmsnap {

enum class SlotKind : std::uint8_t {
  kUnknown,
  kBlockBackend,
  kCharacterBackend,
  kNetworkBackend,
  kFirmwareImage
};

/// A host resource that a device needs, by a name that means the same on every host.
struct Slot {
  std::string name;  // "disk0", unique in the machine
  SlotKind kind = SlotKind::kUnknown;
  std::string hint;                   // where it was on the host that saved; may be empty; never the truth
  std::optional<std::uint64_t> size;  // bytes the resource must have; nullopt when it does not matter
  bool read_only = false;
  bool operator==(const Slot&) const = default;
};

/// One device of the machine.
struct DeviceEntry {
  std::uint32_t instance = 0;   // position in Manifest::devices; the instance in the header of its chunk
  std::string path;             // place in the machine: "pci0/00:03.0", "isa0/uart@3f8", "cpu0"; unique
  std::string type;             // type name; also the name of its schema: "uart16550"
  ChunkVersion version;         // of the state in its chunk
  ChunkVersion readable_since;  // oldest version whose readers may use the state
  std::vector<std::string> features;         // named state in use here; a reader must know every name
  std::vector<std::uint32_t> restore_after;  // instances whose state goes first
  std::vector<Slot> slots;
  bool operator==(const DeviceEntry&) const = default;
};

struct Manifest {
  std::string producer_name;
  std::string producer_version;
  std::int64_t created = 0;  // ns since 1970-01-01T00:00:00Z, when the guest was stopped
  std::uint16_t release_level = 1;
  std::uint32_t vcpu_count = 0;
  std::vector<DeviceEntry> devices;  // in order of instance
  std::string comment;               // may be empty
  bool operator==(const Manifest&) const = default;
};

enum class SegmentKind : std::uint8_t { kSystemMemory, kDeviceMemory };

/// A run of guest memory that exists once, wherever it is mapped.
struct MemorySegment {
  std::uint32_t id = 0;  // position in MemoryMap::segments; the instance in the header of its RAM chunk
  std::string name;      // "ram-low"; unique
  SegmentKind kind = SegmentKind::kSystemMemory;
  std::uint64_t size = 0;  // bytes, a multiple of the page size, not 0
  bool operator==(const MemorySegment&) const = default;
};

/// Guest physical addresses behind which a part of a segment stands.
struct MemoryMapping {
  std::uint32_t segment = 0;
  std::uint64_t segment_offset = 0;  // bytes, page-aligned
  Gpa guest_address;                 // page-aligned
  std::uint64_t size = 0;            // bytes, a multiple of the page size, not 0
  bool read_only = false;
  bool operator==(const MemoryMapping&) const = default;
};

struct MemoryMap {
  std::vector<MemorySegment> segments;
  std::vector<MemoryMapping> mappings;  // in rising order of guest address, without overlap
  bool operator==(const MemoryMap&) const = default;
};

/// Checks what the format demands of a manifest: dense instances, unique paths and slot names, edges that
/// name other instances and form no cycle, versions not below readable_since, names and texts well formed.
/// Slot kinds this build does not know are left alone (see SnapshotReader). Errors: Corrupt, with the device
/// and field; LimitExceeded.
[[nodiscard]] Result<void> validate(const Manifest& manifest);
/// Checks dense ids, unique names, page alignment, mappings inside their segments, in order, no overlap.
/// Segment kinds this build does not know are left alone. Errors: Corrupt, with the field; LimitExceeded.
[[nodiscard]] Result<void> validate(const MemoryMap& map);

/// The FlatBuffer of a CONF or MEMM meta. Errors: those of validate(); LimitExceeded above 16 MiB.
[[nodiscard]] Result<ByteVector> encode(const Manifest& manifest);
[[nodiscard]] Result<ByteVector> encode(const MemoryMap& map);

/// Verifies (bounded) and validates bytes that come from a file. The result owns everything it holds.
/// Errors: Corrupt, LimitExceeded.
[[nodiscard]] Result<Manifest> decode_manifest(ByteView meta);
[[nodiscard]] Result<MemoryMap> decode_memory_map(ByteView meta);

/// Instances in an order that respects every restore_after edge; ties go to the lower instance.
/// `manifest` must be valid.
[[nodiscard]] std::vector<std::uint32_t> restore_order(const Manifest& manifest);

}  // namespace vmsnap
