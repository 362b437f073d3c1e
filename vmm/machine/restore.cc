// SPDX-License-Identifier: BSD-2-Clause
#include "machine/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "format/chunk_type.h"
#include "kvm/cpu_profile.h"
#include "kvm/state_codec.h"
#include "machine/restore_edges.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::vmm {
namespace {

/// What the snapshot is taken apart into.
struct Parts {
  MachineConfig config;
  schema::CpuProfileT profile;
  MachineState state;
  std::vector<std::size_t> device_order;
};

/// Gives out the state of a device by its instance.
using StateSource = std::function<Result<ByteVector>(std::uint32_t instance)>;

/// The type of `entry` in this build; types.end() when it has none.
std::vector<ChunkType>::const_iterator find_type(const DeviceEntry& entry,
                                                 const std::vector<ChunkType>& types) {
  return std::find_if(types.begin(), types.end(), [&](const ChunkType& t) { return t.name == entry.type; });
}

/// The manifest's promises against what this build can do.
Result<void> check_entry(const DeviceEntry& entry, const std::vector<ChunkType>& types,
                         const StateConverter& converter) {
  const auto type = find_type(entry, types);
  if (type == types.end()) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("this build has no device of the type {}; restore it with a newer snapvmm", entry.type));
  }
  if (entry.version.major != type->version.major) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("its state has version {} and this build reads {}.x; restore it with a newer "
                             "snapvmm, or bring it to the release level of this one with a newer snaptool",
                             to_string(entry.version), type->version.major));
  }
  if (entry.readable_since > type->version) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format(
            "its state needs a reader of version {} and this build has {}; restore it with a newer snapvmm",
            to_string(entry.readable_since), to_string(type->version)));
  }
  for (const std::string& feature : entry.features) {
    if (converter.knows(converter.current_level(), entry.type, feature)) continue;
    return Error(ErrorKind::kUnsupported,
                 fmt::format("it uses the feature \"{}\", which this build does not know; restore it with a "
                             "newer snapvmm",
                             feature));
  }
  return {};
}

/// Reads the states of all devices, in order of `manifest.devices`, in the versions of this build; `manifest`
/// says afterwards what they have become.
Result<std::vector<ByteVector>> read_states(Manifest& manifest, const std::vector<ChunkType>& types,
                                            const StateSource& source, const StateConverter& converter) {
  std::vector<ByteVector> states;
  for (DeviceEntry& entry : manifest.devices) {
    const auto read = [&]() -> Result<ByteVector> {
      const auto type = find_type(entry, types);
      const bool older = type != types.end() && entry.version.major < type->version.major;
      if (!older) VMSNAP_RETURN_IF_ERROR(check_entry(entry, types, converter));
      VMSNAP_ASSIGN_OR_RETURN(ByteVector state, source(entry.instance));
      if (!older) return state;
      VMSNAP_RETURN_IF_ERROR(converter.upgrade(entry, state));
      VMSNAP_RETURN_IF_ERROR(check_entry(entry, types, converter));
      return state;
    };
    auto state = read();
    if (!state) return std::move(state).error().in_device(entry.path);
    states.push_back(std::move(*state));
  }
  return states;
}

Result<void> check_slots(const Manifest& manifest, const RestoreRequest& request) {
  std::set<std::string> known;
  for (const DeviceEntry& entry : manifest.devices) {
    for (const Slot& slot : entry.slots) known.insert(slot.name);
  }
  for (const auto& [name, path] : request.slots) {
    if (known.contains(name)) continue;
    std::string list;
    for (const std::string& slot : known) list += (list.empty() ? "" : ", ") + slot;
    return Error(ErrorKind::kUsage,
                 fmt::format("the snapshot has no slot {}; it has {}", name, known.empty() ? "none" : list));
  }
  return {};
}

/// What a file that was made from the remains of a damaged one lacks, against what the operator allows.
Result<void> check_losses(std::span<const Loss> losses, const MemoryMap& map, bool allowed) {
  for (const Loss& loss : losses) {
    if (loss.kind == Loss::Kind::kMemory || loss.kind == Loss::Kind::kChunk) continue;
    return Error(ErrorKind::kUnsupported,
                 fmt::format("the snapshot was recovered from a damaged one and lacks a part of the machine "
                             "itself, {}; the guest cannot go on without it: restore another snapshot of it",
                             to_string(loss, map)));
  }
  if (losses.empty() || allowed) return {};
  return Error(
      ErrorKind::kUnsupported,
      fmt::format("the snapshot was recovered from a damaged one and lacks {} of its parts, the first of "
                  "them {}; snaptool check lists them all, and --allow-recovered restores it without them",
                  losses.size(), to_string(losses.front(), map)));
}

/// Where the backend of a disk is on this host.
Result<DiskBackend> find_backend(const DeviceEntry& entry, const RestoreRequest& request) {
  if (entry.slots.size() != 1 || entry.slots[0].kind != SlotKind::kBlockBackend) {
    return Error(ErrorKind::kUnsupported,
                 "it needs something else than one disk image, which this build cannot give it");
  }
  const Slot& slot = entry.slots[0];
  const auto given = request.slots.find(slot.name);
  DiskBackend disk{slot.name, given != request.slots.end() ? given->second : slot.hint, slot.read_only, {}};
  if (disk.path.empty()) {
    return Error(
        ErrorKind::kUsage,
        fmt::format("the snapshot does not say where the image of {0} is; give it with --slot {0}=PATH",
                    slot.name));
  }
  return disk;
}

/// Takes one chunk of KVM's own state; true when `entry` was one.
Result<bool> take_kvm_part(const DeviceEntry& entry, ByteView state, Parts& parts) {
  KvmState& kvm = parts.state.kvm;
  if (entry.type == "cpu_profile") {
    VMSNAP_ASSIGN_OR_RETURN(parts.profile, unpack_cpu_profile(state));
  } else if (entry.type == "x86_cpu") {
    kvm.vcpus.emplace_back();
    VMSNAP_ASSIGN_OR_RETURN(kvm.vcpus.back().cpu, unpack_x86_cpu(state));
  } else if (entry.type == "i8259") {
    VMSNAP_ASSIGN_OR_RETURN(kvm.i8259, unpack_i8259(state));
  } else if (entry.type == "ioapic") {
    VMSNAP_ASSIGN_OR_RETURN(kvm.ioapic, unpack_ioapic(state));
  } else if (entry.type == "i8254") {
    VMSNAP_ASSIGN_OR_RETURN(kvm.i8254, unpack_i8254(state));
  } else if (entry.type == "kvm_clock") {
    VMSNAP_ASSIGN_OR_RETURN(kvm.clock, unpack_kvm_clock(state));
  } else {
    return false;
  }
  return true;
}

/// The local APICs, each of which goes with the CPU whose path its own begins with. `states` are in order of
/// `manifest.devices`.
Result<void> take_lapics(const Manifest& manifest, const std::vector<ByteVector>& states, Parts& parts) {
  std::vector<VcpuState>& vcpus = parts.state.kvm.vcpus;
  std::set<std::uint32_t> taken;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const DeviceEntry& entry = manifest.devices[i];
    if (entry.type != "lapic") continue;
    const auto vcpu = std::find_if(vcpus.begin(), vcpus.end(), [&](const VcpuState& v) {
      return entry.path == fmt::format("cpu{}/lapic", v.cpu.index);
    });
    if (vcpu == vcpus.end() || !taken.insert(vcpu->cpu.index).second) {
      return Error(ErrorKind::kCorrupt, "its path names no virtual CPU of the snapshot")
          .in_device(entry.path);
    }
    auto lapic = unpack_lapic(states[i]);
    if (!lapic) return std::move(lapic).error().in_device(entry.path);
    vcpu->lapic = std::move(*lapic);
  }
  std::sort(vcpus.begin(), vcpus.end(),
            [](const VcpuState& a, const VcpuState& b) { return a.cpu.index < b.cpu.index; });
  if (taken.size() != vcpus.size()) {
    return Error(ErrorKind::kCorrupt, fmt::format("the snapshot has {} virtual CPUs and {} local APICs",
                                                  vcpus.size(), taken.size()));
  }
  return {};
}

Result<void> require_complete(const Manifest& manifest, const Parts& parts) {
  for (const std::string_view type : kTypesOfOne) {
    const auto count = std::count_if(manifest.devices.begin(), manifest.devices.end(),
                                     [&](const DeviceEntry& entry) { return entry.type == type; });
    if (count != 1) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("the machine has {} devices of the type {}; this VMM runs machines with one",
                               count, type));
    }
  }
  if (parts.state.kvm.vcpus.size() != manifest.vcpu_count) {
    return Error(ErrorKind::kCorrupt, fmt::format("the manifest says {} virtual CPUs, but there are {}",
                                                  manifest.vcpu_count, parts.state.kvm.vcpus.size()));
  }
  return {};
}

Result<Parts> take_apart(Manifest manifest, const MemoryMap& memory_map, const StateSource& source,
                         const RestoreRequest& request, const StateConverter& converter) {
  add_restore_edges(manifest);
  if (auto orderly = validate(manifest); !orderly) {
    return Error(ErrorKind::kUnsupported, "the file asks for an order of restore that KVM does not allow: " +
                                              orderly.error().message());
  }
  const std::vector<ChunkType> types = device_chunk_types();
  VMSNAP_RETURN_IF_ERROR(check_slots(manifest, request));
  VMSNAP_ASSIGN_OR_RETURN(std::vector<ByteVector> states, read_states(manifest, types, source, converter));

  Parts parts;
  // A file from the future that this build can read goes on at the level of this build.
  parts.config.level = request.level.value_or(std::min(manifest.release_level, converter.current_level()));
  VMSNAP_RETURN_IF_ERROR(converter.check_level(parts.config.level));
  parts.config.vcpu_count = manifest.vcpu_count;
  parts.config.memory_map = memory_map;
  std::vector<std::size_t> position_of(manifest.devices.size());  // by instance, of emulated devices
  std::set<std::uint32_t> emulated;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const DeviceEntry& entry = manifest.devices[i];
    const auto failed = [&](Error error) { return std::move(error.in_device(entry.path)); };
    if (entry.type == "lapic") continue;
    auto taken = take_kvm_part(entry, states[i], parts);
    if (!taken) return failed(std::move(taken).error());
    if (*taken) continue;
    DeviceSpec spec{entry.type, entry.path, std::nullopt};
    if (!entry.slots.empty()) {
      auto disk = find_backend(entry, request);
      if (!disk) return failed(std::move(disk).error());
      spec.disk = std::move(*disk);
    }
    position_of[entry.instance] = parts.config.devices.size();
    emulated.insert(entry.instance);
    parts.config.devices.push_back(std::move(spec));
    parts.state.devices.push_back(std::move(states[i]));
  }
  VMSNAP_RETURN_IF_ERROR(take_lapics(manifest, states, parts));
  VMSNAP_RETURN_IF_ERROR(require_complete(manifest, parts));
  for (const std::uint32_t instance : restore_order(manifest)) {
    if (emulated.contains(instance)) parts.device_order.push_back(position_of[instance]);
  }
  return parts;
}

/// `memory` has the content of the segments.
Result<std::unique_ptr<Machine>> put_together(const Parts& parts, GuestMemory memory, Kvm kvm,
                                              TimePolicy clock, CharacterSink& console,
                                              const StateConverter& converter) {
  VMSNAP_ASSIGN_OR_RETURN(auto machine, Machine::create(parts.config, std::move(memory), parts.profile,
                                                        std::move(kvm), console, converter));
  VMSNAP_RETURN_IF_ERROR(machine->restore(parts.state, parts.device_order, clock));
  return machine;
}

Result<std::unique_ptr<Machine>> build(const std::shared_ptr<SnapshotReader>& reader,
                                       const RestoreRequest& request, CharacterSink& console,
                                       const StateConverter& converter) {
  VMSNAP_RETURN_IF_ERROR(check_losses(reader->losses(), reader->memory_map(), request.allow_recovered));
  const StateSource states = [&](std::uint32_t instance) { return reader->device_state(instance); };
  VMSNAP_ASSIGN_OR_RETURN(const Parts parts,
                          take_apart(reader->manifest(), reader->memory_map(), states, request, converter));
  VMSNAP_RETURN_IF_ERROR(validate(parts.config));
  VMSNAP_ASSIGN_OR_RETURN(Kvm kvm, Kvm::open());
  VMSNAP_RETURN_IF_ERROR(check_profile(parts.profile, kvm));
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory, restore_memory(reader, request.memory));
  if (const auto left = reader->unconsumed(); !left.empty()) {
    return Error(ErrorKind::kUnsupported, "the file holds state that this build does not know how to restore")
        .in_chunk(left.front()->header.type.to_string())
        .at_offset(left.front()->offset);
  }
  return put_together(parts, std::move(memory), std::move(kvm), request.clock, console, converter);
}

Result<std::unique_ptr<Machine>> build(StreamedSnapshot snapshot, const RestoreRequest& request,
                                       CharacterSink& console, const StateConverter& converter) {
  VMSNAP_RETURN_IF_ERROR(check_losses(snapshot.losses, snapshot.memory_map, request.allow_recovered));
  const StateSource states = [&](std::uint32_t instance) -> Result<ByteVector> {
    return std::move(snapshot.device_states[instance]);
  };
  VMSNAP_ASSIGN_OR_RETURN(const Parts parts,
                          take_apart(snapshot.manifest, snapshot.memory_map, states, request, converter));
  VMSNAP_RETURN_IF_ERROR(validate(parts.config));
  VMSNAP_ASSIGN_OR_RETURN(Kvm kvm, Kvm::open());
  VMSNAP_RETURN_IF_ERROR(check_profile(parts.profile, kvm));
  VMSNAP_ASSIGN_OR_RETURN(GuestMemory memory,
                          GuestMemory::adopt(snapshot.memory_map, std::move(snapshot.segments)));
  return put_together(parts, std::move(memory), std::move(kvm), request.clock, console, converter);
}

}  // namespace

Result<std::unique_ptr<Machine>> restore_machine(const RestoreRequest& request, CharacterSink& console,
                                                 const StateConverter& converter) {
  // Meta level proves everything but the contents of RAM, which are proved through the guest's own mapping.
  SnapshotReadOptions options;
  // check_losses() decides, and knows the option to name.
  options.allow_recovered = true;
  VMSNAP_ASSIGN_OR_RETURN(SnapshotReader opened, SnapshotReader::open(request.file, options));
  // In one place for good: lazy memory goes on reading from it.
  auto machine = build(std::make_shared<SnapshotReader>(std::move(opened)), request, console, converter);
  if (!machine) return std::move(machine).error().in_file(request.file);
  return machine;
}

Result<std::unique_ptr<Machine>> restore_machine(StreamedSnapshot snapshot, const RestoreRequest& request,
                                                 CharacterSink& console, const StateConverter& converter) {
  auto machine = build(std::move(snapshot), request, console, converter);
  if (!machine) return std::move(machine).error().in_file(request.file);
  return machine;
}

}  // namespace vmsnap::vmm
