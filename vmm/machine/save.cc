// SPDX-License-Identifier: BSD-2-Clause
// The part of Machine that makes snapshots.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <thread>
#include <vector>

#include "format/chunk_type.h"
#include "kvm/state_codec.h"
#include "machine/machine.h"
#include "machine/restore_edges.h"

namespace vmsnap::vmm {
namespace {

/// How long a guest that is being saved for an older release stands still for a slow reader of its console.
constexpr std::chrono::milliseconds kConsolePatience{1000};

/// Collects devices and their states in step.
class ContentsBuilder {
 public:
  /// Both must outlive it.
  ContentsBuilder(SnapshotContents& contents, const std::vector<ChunkType>& types)
      : contents_(contents), types_(types) {}

  void add(DeviceEntry entry, ByteVector state) {
    entry.instance = static_cast<std::uint32_t>(contents_.manifest.devices.size());
    contents_.manifest.devices.push_back(std::move(entry));
    contents_.device_states.push_back(std::move(state));
  }
  /// For what lives inside KVM. `state` is the result of a pack function, in the version of the schemas that
  /// this program is built with.
  [[nodiscard]] Result<void> add(std::string_view type, std::string path, Result<ByteVector> state) {
    if (!state) return std::move(state).error().in_device(path);
    const auto known =
        std::find_if(types_.begin(), types_.end(), [&](const ChunkType& t) { return t.name == type; });
    assert(known != types_.end());
    DeviceEntry entry;
    entry.type = type;
    entry.path = std::move(path);
    entry.version = entry.readable_since = known->version;
    add(std::move(entry), std::move(*state));
    return {};
  }

 private:
  SnapshotContents& contents_;
  const std::vector<ChunkType>& types_;
};

}  // namespace

Result<SnapshotSummary> Machine::save(const SaveTarget& target, bool suspend) {
  // Memory that is still being restored comes while the guest runs, not while it stands still.
  VMSNAP_RETURN_IF_ERROR(memory_.wait_filled(std::max(1u, std::thread::hardware_concurrency())));
  VMSNAP_RETURN_IF_ERROR(converter_.check_level(target.level.value_or(config_.level)));
  const std::lock_guard lock(state_mutex_);
  if (state_ == RunState::kEnded) {
    return Error(ErrorKind::kInvalidState, "the machine has ended, so it cannot be saved");
  }
  const bool was_running = state_ == RunState::kRunning;
  if (was_running) stop_guest();
  Result<SnapshotSummary> summary = write(target);
  if (summary && suspend) {
    end_.post(EndReason::kSuspended, target.name);
    return summary;
  }
  if (was_running) VMSNAP_RETURN_IF_ERROR(let_guest_go());
  return summary;
}

Result<SnapshotSummary> Machine::write(const SaveTarget& target) {
  if (end_.has_ended()) {
    return Error(ErrorKind::kInvalidState, "the guest has just ended, so it cannot be saved");
  }
  const std::uint16_t level = target.level.value_or(config_.level);
  // What the transmitter holds would be lost to a release that cannot store it.
  if (!converter_.knows(level, "uart16550", "transmit-fifo")) flush_console(kConsolePatience);
  // Finishing requests writes guest memory and raises interrupts: it comes before everything that is read.
  for (const auto& device : platform_.devices()) VMSNAP_RETURN_IF_ERROR(device->quiesce());
  const std::int64_t stopped_at = clock_.realtime_ns();
  VMSNAP_ASSIGN_OR_RETURN(const KvmState kvm, save_kvm_state(*vm_));

  SnapshotContents contents;
  contents.manifest.producer_name = "snapvmm";
  contents.manifest.producer_version = VMSNAP_VERSION;
  contents.manifest.created = stopped_at;
  contents.manifest.release_level = converter_.current_level();
  contents.manifest.vcpu_count = config_.vcpu_count;
  contents.memory_map = memory_.map();

  std::vector<ChunkType> types = device_chunk_types();
  ContentsBuilder builder(contents, types);
  VMSNAP_RETURN_IF_ERROR(builder.add("cpu_profile", "cpus", pack_cpu_profile(profile_)));
  for (const VcpuState& vcpu : kvm.vcpus) {
    const std::string cpu = fmt::format("cpu{}", vcpu.cpu.index);
    VMSNAP_RETURN_IF_ERROR(builder.add("x86_cpu", cpu, pack_x86_cpu(vcpu.cpu)));
    VMSNAP_RETURN_IF_ERROR(builder.add("lapic", cpu + "/lapic", pack_lapic(vcpu.lapic)));
  }
  VMSNAP_RETURN_IF_ERROR(builder.add("i8259", "isa0/i8259@20", pack_i8259(kvm.i8259)));
  VMSNAP_RETURN_IF_ERROR(
      builder.add("ioapic", fmt::format("system0/ioapic@{:x}", kvm.ioapic.base), pack_ioapic(kvm.ioapic)));
  VMSNAP_RETURN_IF_ERROR(builder.add("i8254", "isa0/i8254@40", pack_i8254(kvm.i8254)));
  VMSNAP_RETURN_IF_ERROR(builder.add("kvm_clock", "system0/kvm_clock", pack_kvm_clock(kvm.clock)));
  for (const auto& device : platform_.devices()) {
    DeviceEntry entry = device->describe();
    Result<ByteVector> state = device->save();
    if (!state) return std::move(state).error().in_device(entry.path);
    builder.add(std::move(entry), std::move(*state));
  }
  if (level != converter_.current_level()) {
    VMSNAP_ASSIGN_OR_RETURN(types,
                            converter_.bring_to_level(level, contents.manifest, contents.device_states));
  }
  add_restore_edges(contents.manifest);
  for (const MemorySegment& segment : contents.memory_map.segments) {
    contents.segments.push_back(memory_.source(segment.id));
  }
  SnapshotWriteOptions options;
  // The guest is stopped, so its processors are free.
  options.pass.threads = std::max(1u, std::thread::hardware_concurrency());
  options.encoding = target.encoding;
  options.codec = target.codec;
  if (target.stream != nullptr) return write_snapshot(*target.stream, contents, types, options);
  return write_snapshot(target.name, contents, types, options);
}

}  // namespace vmsnap::vmm
