// SPDX-License-Identifier: BSD-2-Clause
// Guest RAM as the VMM sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/gpa.h"
#include "base/mapping.h"
#include "base/result.h"
#include "ram/extent_source.h"
#include "ram/lazy_memory.h"
#include "ram/segment_reader.h"
#include "snapshot/manifest.h"

namespace vmsnap::vmm {

/// Where the content of guest memory comes from.
enum class MemoryOrigin : std::uint8_t {
  kFresh,   // it began as zeros
  kMapped,  // it is a private mapping of a snapshot
  kEager,   // it was read from a snapshot at once
  kLazy,    // it was, or is being, read from a snapshot while the guest runs
};

/// "fresh", "map", "eager", "lazy": as `snapvmm` takes and prints it.
[[nodiscard]] std::string_view to_string(MemoryOrigin origin);

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

  /// Private anonymous zero memory for every segment of a valid `map`, with transparent huge pages asked for.
  /// `origin` is what its content will be. Errors: Io.
  [[nodiscard]] static Result<GuestMemory> allocate(const MemoryMap& map,
                                                    MemoryOrigin origin = MemoryOrigin::kFresh);

  /// Takes over the mappings of a snapshot's segments, in order of segment id; `stored` has one reader for
  /// each, and `file` keeps alive what the readers refer to. Errors: InvalidState (numbers or sizes that do
  /// not fit the map).
  [[nodiscard]] static Result<GuestMemory> adopt(const MemoryMap& map, std::vector<Mapping> segments,
                                                 std::vector<SegmentReader> stored,
                                                 std::shared_ptr<const void> file);

  /// Takes over private anonymous memory that a snapshot was read into (kEager), in order of segment id.
  /// Errors: InvalidState (numbers or sizes that do not fit the map).
  [[nodiscard]] static Result<GuestMemory> adopt(const MemoryMap& map, std::vector<Mapping> segments);

  GuestMemory(GuestMemory&&) noexcept = default;
  GuestMemory& operator=(GuestMemory&&) = delete;

  /// Keeps what restores the segments of this memory lazily. Not while others use the memory.
  void attach(std::unique_ptr<LazyMemory> lazy) { lazy_ = std::move(lazy); }

  [[nodiscard]] const MemoryMap& map() const { return map_; }
  [[nodiscard]] MemoryOrigin origin() const { return origin_; }

  /// False while content is still on its way. Until then whoever touches what is missing waits for it.
  [[nodiscard]] bool is_filled() const { return !lazy_ || lazy_->is_filled(); }
  /// Returns when all content is there; up to `threads` threads help. Errors: those of
  /// LazyMemory::wait_filled().
  [[nodiscard]] Result<void> wait_filled(unsigned threads) const;

  /// Segment `id` for whoever saves it; valid as long as this object. To be asked for once is_filled().
  [[nodiscard]] RamSource source(std::uint32_t id) const;

  /// The host bytes of segment `id`; valid as long as this object.
  [[nodiscard]] MutableByteView segment(std::uint32_t id) const { return segments_[id].bytes(); }

  /// The host bytes of [address, address + size), when that lies inside one mapping; else nullopt. The
  /// guest may write to them concurrently: copy what must not change between check and use.
  [[nodiscard]] std::optional<MutableByteView> find(Gpa address, std::uint64_t size) const;

  /// Copies out of or into guest memory; false when the range is not RAM.
  [[nodiscard]] bool read(Gpa address, MutableByteView out) const;
  [[nodiscard]] bool write(Gpa address, ByteView bytes) const;

 private:
  GuestMemory(MemoryMap map, std::vector<Mapping> segments, MemoryOrigin origin)
      : map_(std::move(map)), segments_(std::move(segments)), origin_(origin) {}

  [[nodiscard]] static Result<void> check_fit(const MemoryMap& map, const std::vector<Mapping>& segments);

  MemoryMap map_;
  std::vector<Mapping> segments_;
  MemoryOrigin origin_;
  std::vector<SegmentReader> stored_;  // of mapped memory: what segments_ are mappings of
  std::shared_ptr<const void> file_;   // that stored_ refer to
  std::unique_ptr<LazyMemory> lazy_;   // fills segments_, so it goes first
};

}  // namespace vmsnap::vmm
