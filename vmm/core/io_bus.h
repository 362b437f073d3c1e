// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "base/result.h"
#include "core/io_handler.h"

namespace vmsnap::vmm {

/// A space of addresses (the I/O ports, or guest physical memory outside RAM) and who answers in it.
/// Thread-safe: ranges may be moved by one virtual CPU (a BAR) while others access the bus.
class IoBus {
 public:
  /// `handler` answers [base, base + size) from now on and is called with offsets from `base`; it must
  /// outlive its range. Errors: InvalidState when the range overlaps another or is empty or wraps.
  [[nodiscard]] Result<void> add(std::uint64_t base, std::uint64_t size, IoHandler& handler);

  /// Takes the range that begins at `base` off the bus; nothing happens when there is none.
  void remove(std::uint64_t base);

  /// An access that no handler covers reads all ones and ignores writes, as an empty bus does.
  void read(std::uint64_t address, MutableByteView data) const;
  void write(std::uint64_t address, ByteView data) const;

 private:
  struct Range {
    std::uint64_t size;
    IoHandler* handler;
  };
  struct Hit {
    IoHandler* handler;
    std::uint64_t offset;
  };
  [[nodiscard]] Hit find(std::uint64_t address, std::size_t size) const;

  mutable std::shared_mutex mutex_;
  std::map<std::uint64_t, Range> ranges_;  // by base
};

}  // namespace vmsnap::vmm
