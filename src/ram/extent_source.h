// SPDX-License-Identifier: BSD-2-Clause
// Where the writers of every encoding take a segment from: extent by extent, hashed, zero pages found.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "ram/absent_pages.h"
#include "ram/segment_reader.h"

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
  /// When `bytes` are the result of SegmentReader::map(), written to since or not: that reader. Extents that
  /// are a hole of its file, and of which this process has touched no page, are then not read either: reading
  /// would fill the page cache with zeros.
  const SegmentReader* mapped_from = nullptr;
};

/// Sources that are not memory keep the bytes of all extents that are under way: with extents larger than
/// this (log2), which only segments of many TiB need, writers take them one at a time.
inline constexpr std::uint8_t kMaxParallelShift = 23;

/// A half-open range of bytes of a segment.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

/// Pages [begin, end) of a segment that are the same as those from `source` on, which come before.
struct PageRepeat {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t source = 0;
  bool operator==(const PageRepeat&) const = default;
};

/// An extent that was looked at. To be used again for others: it keeps what it has allocated.
struct Extent {
  std::uint64_t begin = 0;      // in the segment
  std::uint64_t end = 0;        // in the segment
  std::uint64_t leaf = 0;       // XXH3-64 of its bytes
  std::vector<ByteRange> data;  // of the segment: runs of pages that are not all zero, rising
  /// Other pages that are not all zero, rising, of a source that does not have their bytes any more. What
  /// they repeat was data, of this extent or of one before it.
  std::vector<PageRepeat> repeats;
  /// The bytes, those of `repeats` undefined, when `data` is not empty or the extent is altered. In
  /// `storage`, or where the memory of the source is.
  ByteView bytes;
  ByteVector storage;
  /// Of a source that has an original(): these are not its bytes.
  bool altered = false;

  [[nodiscard]] std::uint64_t data_bytes() const;
  [[nodiscard]] std::uint64_t repeated_bytes() const;
  /// The bytes of a range of `data`.
  [[nodiscard]] ByteView view(const ByteRange& range) const {
    return bytes.subspan(range.begin - begin, range.end - range.begin);
  }
};

/// Fills in `data` of an extent that has its place and its bytes.
void find_data(Extent& extent);
/// Makes the storage of an extent that has its place its bytes, and fills in `data` and `leaf`.
void use_storage(Extent& extent);

/// A segment that is about to be written. Not thread-safe.
class ExtentSource {
 public:
  ExtentSource(const ExtentSource&) = delete;
  ExtentSource& operator=(const ExtentSource&) = delete;
  virtual ~ExtentSource() = default;

  [[nodiscard]] std::uint64_t size() const { return size_; }  // bytes; whole pages, not 0
  [[nodiscard]] std::uint8_t extent_shift() const { return extent_shift_; }
  [[nodiscard]] std::uint64_t extent_count() const;

  /// The extent that a writer begins with: 0, but for a source that was partly written before.
  [[nodiscard]] virtual std::uint64_t first_extent() const { return 0; }
  /// True when extent `index` is there to be looked at: those up to extent_count() are, but for a source that
  /// may stop in between, to go on later. Errors: those of the source.
  [[nodiscard]] virtual Result<bool> has(std::uint64_t index) { return index < extent_count(); }
  /// Looks at extent `index`, which must be there. Its bytes are in the processor's cache afterwards, unless
  /// they are zero. Errors: those of the source.
  [[nodiscard]] virtual Result<void> scan(std::uint64_t index, Extent& extent) = 0;
  /// True when extent `index` is known to have exactly these bytes. Errors: those of the source.
  [[nodiscard]] virtual Result<bool> holds(std::uint64_t index, ByteView bytes) = 0;
  /// The file in which the segment lies as it is in memory, but for extents that are altered: a writer may
  /// share it instead of writing its bytes. It must not change until that is done. By default there is none.
  [[nodiscard]] virtual std::optional<FilePlace> original() const { return std::nullopt; }
  /// True when the bytes of an extent stay where they are as long as the source lives; else they are in the
  /// extent's storage.
  [[nodiscard]] virtual bool is_memory() const { return false; }

 protected:
  ExtentSource(std::uint64_t size, std::uint8_t extent_shift) : size_(size), extent_shift_(extent_shift) {}

  [[nodiscard]] std::uint64_t extent_begin(std::uint64_t index) const { return index << extent_shift_; }
  [[nodiscard]] std::uint64_t extent_end(std::uint64_t index) const;

 private:
  std::uint64_t size_;
  std::uint8_t extent_shift_;
};

/// Guest memory, read where it is.
class MemorySource final : public ExtentSource {
 public:
  /// Errors: Usage (not whole pages), LimitExceeded (larger than the format can describe).
  [[nodiscard]] static Result<void> check(const RamSource& memory);
  /// `memory` has passed check(); its bytes must outlive the source.
  explicit MemorySource(const RamSource& memory);

  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override;
  [[nodiscard]] bool is_memory() const override { return true; }

 private:
  /// True when the whole extent is known to be zero without a look at it. Errors: Io.
  [[nodiscard]] Result<bool> is_untouched_zero(std::uint64_t index, ByteView bytes);

  RamSource memory_;
  std::uint64_t zero_leaf_;
  AbsentPages absent_;
  SegmentCursor cursor_;
};

}  // namespace vmsnap
