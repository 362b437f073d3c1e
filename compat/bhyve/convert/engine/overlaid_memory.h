// SPDX-License-Identifier: BSD-2-Clause
// Guest memory in a file, with changes that are kept beside it page by page.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "bhyve/convert/machine.h"

namespace vmsnap::compat::bhyve {

/// A run of guest physical addresses that is a whole segment.
struct MemoryRegion {
  Gpa address;
  std::uint64_t size = 0;  // bytes, whole pages
  std::uint32_t segment = 0;
};

/// Not thread-safe.
class OverlaidMemory final : public GuestMemory {
 public:
  /// Reads whole pages of a segment from an offset on. Errors: Io, Truncated, Corrupt.
  using ReadPages =
      std::function<Result<void>(std::uint32_t segment, std::uint64_t offset, MutableByteView pages)>;

  OverlaidMemory(std::vector<MemoryRegion> regions, ReadPages read_pages)
      : regions_(std::move(regions)), read_pages_(std::move(read_pages)) {}

  [[nodiscard]] Result<ByteVector> read(Gpa address, std::uint64_t size) const override;
  /// The same without the changes.
  [[nodiscard]] Result<ByteVector> read_original(Gpa address, std::uint64_t size) const;
  [[nodiscard]] Result<void> write(Gpa address, ByteView bytes) override;

  /// True when a page of that range of the segment was changed.
  [[nodiscard]] bool is_changed(std::uint32_t segment, std::uint64_t begin, std::uint64_t end) const;
  /// Puts changed pages into `bytes`, which are those of the segment from `begin` on; both are page-aligned.
  void apply(std::uint32_t segment, std::uint64_t begin, MutableByteView bytes) const;

 private:
  struct Place {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
  };
  [[nodiscard]] Result<Place> find(Gpa address, std::uint64_t size) const;
  [[nodiscard]] Result<ByteVector> read(Gpa address, std::uint64_t size, bool changed) const;

  std::vector<MemoryRegion> regions_;
  ReadPages read_pages_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, ByteVector> pages_;  // by segment and offset
};

}  // namespace vmsnap::compat::bhyve
