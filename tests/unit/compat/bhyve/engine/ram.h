// SPDX-License-Identifier: BSD-2-Clause
// Guest memory of tests, with the overlay that a conversion puts over it.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "bhyve/convert/engine/overlaid_memory.h"

namespace vmsnap::compat::bhyve {

/// Segments by id, each a run of memory. The overlay borrows it.
struct Ram {
  struct Segment {
    Gpa address;
    ByteVector bytes;
  };
  std::vector<Segment> segments;
  mutable int reads = 0;

  [[nodiscard]] OverlaidMemory overlay() const {
    std::vector<MemoryRegion> regions;
    for (std::uint32_t i = 0; i < segments.size(); ++i) {
      regions.push_back({segments[i].address, segments[i].bytes.size(), i});
    }
    return OverlaidMemory(
        std::move(regions),
        [this](std::uint32_t segment, std::uint64_t offset, MutableByteView pages) -> Result<void> {
          ++reads;
          const ByteVector& bytes = segments.at(segment).bytes;
          if (offset > bytes.size() || pages.size() > bytes.size() - offset) {
            return Error(ErrorKind::kInternal, "asked for pages that the segment does not have");
          }
          std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), pages.size(), pages.begin());
          return {};
        });
  }
};

}  // namespace vmsnap::compat::bhyve
