// SPDX-License-Identifier: BSD-2-Clause
// Looks at guest memory extent by extent, as every encoding does before it writes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "ram/absent_pages.h"

namespace vmsnap {

/// The memory of a segment. It must not change while it is written.
struct RamSource {
  ByteView bytes;
  /// Promise: private anonymous memory (MAP_PRIVATE | MAP_ANONYMOUS), never a mapping of a file or of shared
  /// memory, and no userfaultfd has pages of it outstanding. Then pages that were never touched are found in
  /// /proc/self/pagemap and not even read. Without the promise every page is read; reading private anonymous
  /// memory maps the kernel's zero page and allocates nothing but page tables, while reading shared memory
  /// may allocate its holes.
  bool private_anonymous = false;
};

/// A half-open range of bytes of a segment.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Finds the pages of an extent that are not all zero, and its leaf. Not thread-safe: one for each thread.
class ExtentScanner {
 public:
  /// `source` must outlive the scanner; it consists of whole pages.
  ExtentScanner(const RamSource& source, std::uint8_t extent_shift);

  /// Looks at extent `index`, which must exist. Its bytes are in the processor's cache afterwards, unless
  /// they are zero.
  void scan(std::uint64_t index);

  /// Of the extent scanned last: its place, its hash, and the runs of pages that are not all zero, rising.
  [[nodiscard]] std::uint64_t begin() const { return begin_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }
  [[nodiscard]] std::uint64_t leaf() const { return leaf_; }
  [[nodiscard]] const std::vector<ByteRange>& data() const { return data_; }
  [[nodiscard]] std::uint64_t data_bytes() const { return data_bytes_; }

 private:
  const RamSource& source_;
  std::uint64_t extent_size_;
  std::uint64_t zero_leaf_;
  AbsentPages absent_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t leaf_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::vector<ByteRange> data_;
};

}  // namespace vmsnap
