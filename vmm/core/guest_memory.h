// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM as the VMM sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/gpa.h"
#include "base/mapping.h"
#include "base/result.h"
#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// Guest memory: the host mappings of the segments of a memory map. Immutable once built, so lookups are
/// thread-safe; the bytes behind them are shared with the guest and may change at any time.
class GuestMemory {
 public:
  /// Where the hole for devices begins; RAM above goes to 4 GiB and up.
  static constexpr std::uint64_t kLowMemoryLimit = std::uint64_t{3} << 30;
  static constexpr std::uint64_t kHighMemoryBase = std::uint64_t{4} << 30;

  /// The memory map of a machine with `size` bytes of RAM (a multiple of 4096): segments "ram-low" and, when
  /// needed, "ram-high".
  [[nodiscard]] static MemoryMap layout(std::uint64_t size);

  /// Fresh zero memory for every segment of a valid `map`, with transparent huge pages asked for. Errors: Io.
  [[nodiscard]] static Result<GuestMemory> allocate(const MemoryMap& map);

  /// Takes over one mapping per segment, in order of segment id; sizes must match. Errors: InvalidState.
  [[nodiscard]] static Result<GuestMemory> adopt(const MemoryMap& map, std::vector<Mapping> segments);

  [[nodiscard]] const MemoryMap& map() const { return map_; }

  /// True for memory from allocate(): private and anonymous, no file behind it.
  [[nodiscard]] bool is_anonymous() const { return anonymous_; }

  /// The host bytes of segment `id`; valid as long as this object.
  [[nodiscard]] MutableByteView segment(std::uint32_t id) const { return segments_[id].bytes(); }

  /// The host bytes of [address, address + size), when that lies inside one mapping; else nullopt. The
  /// guest may write to them concurrently: copy what must not change between check and use.
  [[nodiscard]] std::optional<MutableByteView> find(Gpa address, std::uint64_t size) const;

  /// Copies out of or into guest memory; false when the range is not RAM.
  [[nodiscard]] bool read(Gpa address, MutableByteView out) const;
  [[nodiscard]] bool write(Gpa address, ByteView bytes) const;

 private:
  GuestMemory(MemoryMap map, std::vector<Mapping> segments, bool anonymous)
      : map_(std::move(map)), segments_(std::move(segments)), anonymous_(anonymous) {}

  MemoryMap map_;
  std::vector<Mapping> segments_;
  bool anonymous_;
};

}  // namespace vmsnap::vmm
