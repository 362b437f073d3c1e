// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "machine/machine.h"
#include "machine/restore_memory.h"
#include "snapshot/stream_reader.h"

namespace vmsnap::vmm {

/// The types of which a machine has exactly one, as KVM has.
inline constexpr std::string_view kTypesOfOne[] = {"cpu_profile", "i8254", "i8259", "ioapic", "kvm_clock"};

struct RestoreRequest {
  std::string file;                          // its path, or how a stream is called
  std::map<std::string, std::string> slots;  // name to path of host resources that have moved
  TimePolicy clock = TimePolicy::kFreeze;
  MemoryRequest memory;
  /// Take a file that was recovered from a damaged one although memory or chunks of unknown meaning are
  /// missing. What lacks a device is refused all the same.
  bool allow_recovered = false;
  std::optional<std::uint16_t> level = {};  // of the machine; absent: that of the file
};

/// Builds a machine from a snapshot and puts its state back; the guest stays paused until start() and
/// resume(). States that older releases wrote are brought to the versions of this build, in memory. The file
/// is never written. `console` and `converter` must outlive the machine. Errors: those of
/// SnapshotReader::open() and restore_memory(); Unsupported (a device type, version, feature or CPU that this
/// build or host does not have, a disk of another size, something missing that `request` does not allow);
/// Usage (a slot that the file does not have, no such release level); Io.
[[nodiscard]] Result<std::unique_ptr<Machine>> restore_machine(const RestoreRequest& request,
                                                               CharacterSink& console,
                                                               const StateConverter& converter);

/// The same from a snapshot that was read from a stream, recovered or not; `request.memory` means nothing to
/// it, since the memory is there and verified. Errors: as above, without those of reading.
[[nodiscard]] Result<std::unique_ptr<Machine>> restore_machine(StreamedSnapshot snapshot,
                                                               const RestoreRequest& request,
                                                               CharacterSink& console,
                                                               const StateConverter& converter);

}  // namespace vmsnap::vmm
