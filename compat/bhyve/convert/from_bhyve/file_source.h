// SPDX-License-Identifier: BSD-2-Clause
// A memory segment that is a part of a file.
#pragma once

#include "base/file.h"
#include "bhyve/convert/engine/overlaid_memory.h"
#include "ram/extent_source.h"

namespace vmsnap::compat::bhyve {

/// Reads each extent when it is its turn; holes of the file are not read. Extents with changes are altered.
class FileSource final : public ExtentSource {
 public:
  /// Errors: Usage (not whole pages), LimitExceeded (larger than the format can describe).
  [[nodiscard]] static Result<void> check(std::uint64_t size);

  /// `size` bytes of `file` from `offset` on, which have passed check(), with the changes that `changes` has
  /// for the segment. Both must outlive the source.
  FileSource(const File& file, std::uint64_t offset, std::uint64_t size, const OverlaidMemory& changes,
             std::uint32_t segment);

  [[nodiscard]] Result<void> scan(std::uint64_t index, Extent& extent) override;
  [[nodiscard]] Result<bool> holds(std::uint64_t index, ByteView bytes) override;
  [[nodiscard]] std::optional<FilePlace> original() const override { return FilePlace{&file_, offset_}; }

 private:
  /// True when the bytes of the file are a hole.
  [[nodiscard]] Result<bool> is_hole(std::uint64_t begin, std::uint64_t end);

  const File& file_;
  std::uint64_t offset_;
  const OverlaidMemory& changes_;
  std::uint32_t segment_;
  std::uint64_t zero_leaf_;       // of a whole extent
  std::uint64_t asked_from_ = 0;  // [asked_from_, data_.begin) of the file is a hole, data_ is not
  FileRange data_;
  ByteVector other_;
};

}  // namespace vmsnap::compat::bhyve
