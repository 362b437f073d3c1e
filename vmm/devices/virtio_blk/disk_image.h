// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace vmsnap::vmm {

/// A raw disk image (or block device), locked so that no second virtual machine writes it: an open file
/// description lock, exclusive for writing and shared for reading, that ends with the object or the process.
/// Const member functions are thread-safe.
class DiskImage {
 public:
  static constexpr std::uint64_t kSectorSize = 512;

  /// Errors: Io (not there, no permission, in use by another machine), Usage (the size is 0 or not a multiple
  /// of 512 bytes).
  [[nodiscard]] static Result<DiskImage> open(const std::string& path, bool read_only);

  [[nodiscard]] const std::string& path() const { return file_.name(); }
  [[nodiscard]] bool read_only() const { return read_only_; }
  /// In bytes, when it was opened.
  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// Fills the buffers, in order, from `offset`, straight from the file. The caller has checked that the
  /// range is inside size(). Errors: Io; Truncated when the file has become shorter.
  [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<const MutableByteView> buffers) const;
  /// Writes the buffers, in order, at `offset`. Errors: Io.
  [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const MutableByteView> buffers) const;
  /// What was written is on the medium. Errors: Io.
  [[nodiscard]] Result<void> flush() const { return file_.sync_data(); }

 private:
  DiskImage(File file, std::uint64_t size, bool read_only)
      : file_(std::move(file)), size_(size), read_only_(read_only) {}

  File file_;
  std::uint64_t size_;
  bool read_only_;
};

}  // namespace vmsnap::vmm
