// SPDX-License-Identifier: BSD-2-Clause
// What a machine is made of: the one description that both `run` (from its options) and `restore` (from
// the manifest of a snapshot) come down to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// The host file behind a disk.
struct DiskBackend {
  std::string slot;  // "disk0"
  std::string path;
  bool read_only = false;
  std::string serial;  // answer to GET_ID, at most 20 characters
};

/// One emulated device: what the manifest calls `type` and `path`, and its backend where it has one.
struct DeviceSpec {
  std::string type;
  std::string path;
  std::optional<DiskBackend> disk;
  bool packed_rings = false;  // a virtio device offers them; only a new one, a restored one is as it was
};

struct MachineConfig {
  /// Release level: the guest is offered nothing that a release of this level does not know, and snapshots
  /// are written for it.
  std::uint16_t level = 1;
  std::uint32_t vcpu_count = 1;
  MemoryMap memory_map;
  std::vector<DeviceSpec> devices;  // in order of the manifest; those inside KVM are not among them
};

/// The most virtual CPUs this VMM gives a machine.
inline constexpr std::uint32_t kMaxVcpus = 8;

/// The devices every machine of this VMM has, then one virtio_blk per disk from slot 00:03.0 on, which offers
/// packed rings or does not.
[[nodiscard]] std::vector<DeviceSpec> standard_devices(const std::vector<DiskBackend>& disks,
                                                       bool packed_rings);

/// Checks the numbers of a configuration. Errors: Unsupported (too many virtual CPUs or disks).
[[nodiscard]] Result<void> validate(const MachineConfig& config);

}  // namespace vmsnap::vmm
