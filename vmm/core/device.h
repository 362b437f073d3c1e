// SPDX-License-Identifier: BSD-2-Clause
// The contract of everything that has state in a snapshot.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// A device of the machine.
///
/// Order of calls for a save: every virtual CPU is stopped, then quiesce() of all devices, then save() of
/// each, then (the guest goes on) resume() of all. For a restore, on a fresh device while no virtual CPU
/// has run: restore(), then resume(). All calls come from one thread; IoHandler calls of the same device
/// come from others, but never between quiesce() and resume().
class Device {
 public:
  virtual ~Device() = default;

  /// The device's line in the manifest. `instance` and `restore_after` are filled in by the machine.
  [[nodiscard]] virtual DeviceEntry describe() const = 0;

  /// Finishes every request in flight and starts no new one until resume(). May raise interrupts and
  /// write guest memory. Errors: Io, when the work in flight cannot be finished; the device still works.
  [[nodiscard]] virtual Result<void> quiesce() { return {}; }

  /// Goes on after quiesce() or restore(); looks again at everything that may have been missed (queues
  /// with work in them, interrupt lines that should be up).
  virtual void resume() {}

  /// The state as the FlatBuffer of the device's chunk type. Does not change the device.
  [[nodiscard]] virtual Result<ByteVector> save() const = 0;

  /// Takes over a state that save() of this major version made, or someone else, hostile bytes
  /// included: first everything is validated, then assigned, then what is derived is recomputed. A refused
  /// state leaves the device unchanged. Errors: Corrupt (with the field), Unsupported.
  [[nodiscard]] virtual Result<void> restore(ByteView state) = 0;
};

}  // namespace vmsnap::vmm
