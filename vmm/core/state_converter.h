// SPDX-License-Identifier: BSD-2-Clause
// How a machine reads what older releases wrote and writes what they read. Devices speak the versions of this
// build only; what stands between them and the file knows the others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/chunk_type.h"
#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// Thread-safe.
class StateConverter {
 public:
  virtual ~StateConverter() = default;

  /// The release level of this build; it knows every one from 1 on.
  [[nodiscard]] virtual std::uint16_t current_level() const = 0;

  /// True when a release of `level` knows the device feature `feature` of devices of `type`.
  [[nodiscard]] virtual bool knows(std::uint16_t level, std::string_view type,
                                   std::string_view feature) const = 0;

  /// Brings the state of a device, of an older version than this build's, to this build's; `entry` says
  /// afterwards what it has become. Errors: Corrupt, Unsupported, LimitExceeded; Internal (a step, or what
  /// this build knows contradicts itself). Entry and state are then as they were.
  [[nodiscard]] virtual Result<void> upgrade(DeviceEntry& entry, ByteVector& state) const = 0;

  /// Brings states as this build's devices save them, in order of `manifest.devices`, to what a release of
  /// `level` reads, and has the manifest say so. Returns the chunk types that the file then needs.
  /// Errors: Usage (no such level), Unsupported (the guest could notice what would be lost: device, field,
  /// value and consequence are named), LimitExceeded, Internal (as upgrade()).
  [[nodiscard]] virtual Result<std::vector<ChunkType>> bring_to_level(
      std::uint16_t level, Manifest& manifest, std::vector<ByteVector>& states) const = 0;

  /// Errors: Usage, when this build knows no such level.
  [[nodiscard]] Result<void> check_level(std::uint16_t level) const {
    if (level >= 1 && level <= current_level()) return {};
    return Error(ErrorKind::kUsage, "there is no release level " + std::to_string(level) +
                                        "; this build knows the levels 1 to " +
                                        std::to_string(current_level()));
  }
};

}  // namespace vmsnap::vmm
