// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace vmsnap {

/// Sole owner of a mapping made by mmap(2). Move-only.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  /// Private anonymous memory, readable and writable, zero, MAP_NORESERVE. `size` in bytes, not 0.
  /// Errors: Io.
  [[nodiscard]] static Result<Mapping> anonymous(std::size_t size);

  /// `size` bytes of `file` from `offset` (a multiple of the page size), readable and writable in memory
  /// only: MAP_PRIVATE, so writes never reach the file. The mapping stays valid after `file` is closed.
  /// Touching a page beyond the end of the file kills the process (SIGBUS): check the size first.
  /// Errors: Io.
  [[nodiscard]] static Result<Mapping> private_copy(const File& file, std::uint64_t offset, std::size_t size);

  /// Puts `size` bytes of `file` from `file_offset` in place of the bytes from `offset`, as private_copy()
  /// maps them. All numbers are multiples of the page size, and the range is inside the mapping. Errors: Io.
  [[nodiscard]] Result<void> overlay(std::size_t offset, const File& file, std::uint64_t file_offset,
                                     std::size_t size);

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] MutableByteView bytes() const { return {data_, size_}; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  Mapping(std::byte* data, std::size_t size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vmsnap
