// SPDX-License-Identifier: BSD-2-Clause
#include "random_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "format/constants.h"

namespace vmsnap::test {
namespace {

constexpr std::size_t kExtentPages = 64;
constexpr std::size_t kExtentSize = kExtentPages * kPageSize;

class Filler {
 public:
  explicit Filler(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }

  ByteVector segment() {
    const std::size_t gap = below(3) == 0 ? 40 * kExtentPages : 0;
    ByteVector bytes((1 + gap + below(12 * kExtentPages)) * kPageSize);
    for (std::size_t at = 0; at < bytes.size(); at += kExtentSize) {
      if (at > 2 * kExtentSize && at < gap * kPageSize) continue;
      const MutableByteView all(bytes);
      fill(all.subspan(at, std::min(kExtentSize, bytes.size() - at)), all.first(at));
    }
    return bytes;
  }

 private:
  void noise(MutableByteView out) {
    for (std::size_t i = 0; i < out.size(); i += 8) store_le<std::uint64_t>(out, i, random_() | 1);
  }

  void text(MutableByteView out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = below(16) == 0 ? static_cast<std::byte>(random_()) : static_cast<std::byte>('a' + i % 16);
    }
  }

  void fill(MutableByteView extent, ByteView before) {
    switch (below(7)) {
      case 0:
        return;
      case 1:
        return noise(extent);
      case 2:
        return text(extent);
      case 3:  // runs of pages, and now and then a single byte that keeps a page from being zero
        for (std::size_t at = 0; at < extent.size(); at += kPageSize) {
          const MutableByteView page = extent.subspan(at, kPageSize);
          if (below(3) == 0) noise(page);
          if (below(3) == 0) text(page);
          if (below(8) == 0) page[below(page.size())] = std::byte{1};
        }
        return;
      default:
        if (before.size() < extent.size()) return noise(extent.first(kPageSize));
        std::ranges::copy(before.subspan(below(before.size() / kExtentSize) * kExtentSize, extent.size()),
                          extent.begin());
        if (below(4) == 0) extent[below(extent.size())] ^= std::byte{1};
        return;
    }
  }

  std::mt19937_64 random_;
};

}  // namespace

RandomMemory::RandomMemory(std::uint64_t seed) {
  Filler filler(seed);
  segments_.resize(1 + filler.below(4));
  for (ByteVector& segment : segments_) segment = filler.segment();
}

SnapshotContents RandomMemory::contents() const {
  SnapshotContents contents;
  contents.manifest.producer_name = "random-memory";
  contents.manifest.producer_version = "1.0";
  for (std::uint32_t id = 0; id < segments_.size(); ++id) {
    const std::uint64_t size = segments_[id].size();
    contents.memory_map.segments.push_back({id, fmt::format("ram{}", id), SegmentKind::kSystemMemory, size});
    contents.memory_map.mappings.push_back({id, 0, Gpa(std::uint64_t{id} << 32), size, false});
    contents.segments.push_back({segments_[id], false});
  }
  return contents;
}

}  // namespace vmsnap::test
