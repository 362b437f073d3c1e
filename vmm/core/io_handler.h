// SPDX-License-Identifier: BSD-2-Clause
// The ways in which a device meets the rest of the machine. Devices depend on these interfaces alone, so
// their tests need no KVM and no guest.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace vmsnap::vmm {

/// Something that answers accesses to a range of I/O ports or of guest physical addresses.
/// Called from several virtual CPU threads at once: implementations lock.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  /// Fills `data` (1, 2, 4 or 8 bytes) from the register at `offset` bytes from the start of the range.
  virtual void read(std::uint64_t offset, MutableByteView data) = 0;
  /// Takes a write of `data` (1, 2, 4 or 8 bytes, little-endian) at `offset`.
  virtual void write(std::uint64_t offset, ByteView data) = 0;
};

/// One wire to the interrupt controllers. Thread-safe.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  virtual void set_level(bool asserted) = 0;
};

/// Delivers message-signalled interrupts. Thread-safe.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  /// A memory write of `data` to the Message Address `address` (PCI 3.0, 6.8).
  virtual void send(std::uint64_t address, std::uint32_t data) = 0;
};

/// What a guest may ask of the machine as a whole. Thread-safe; the request is acted on later.
class PowerControl {
 public:
  virtual ~PowerControl() = default;
  virtual void request_reset() = 0;
  virtual void request_power_off() = 0;
};

/// The clocks that emulated time is derived from. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Nanoseconds that do not jump; the zero is arbitrary (CLOCK_MONOTONIC).
  [[nodiscard]] virtual std::int64_t monotonic_ns() const = 0;
  /// Nanoseconds since 1970-01-01T00:00:00Z (CLOCK_REALTIME).
  [[nodiscard]] virtual std::int64_t realtime_ns() const = 0;
};

}  // namespace vmsnap::vmm
