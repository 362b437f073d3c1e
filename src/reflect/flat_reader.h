// SPDX-License-Identifier: BSD-2-Clause
// Bounds-checked access to the parts of a FlatBuffer of any type. The checks are those of the generated
// verifiers (bounds, alignment relative to the start, terminators), made at the moment of reading.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace vmsnap::reflect {

/// Positions are byte offsets from the start of the buffer. Errors are all of kind Corrupt.
class FlatReader {
 public:
  struct Table {
    std::uint32_t at = 0;
    std::uint32_t vtable = 0;
    std::uint16_t vtable_size = 0;
  };
  struct Vector {
    std::uint32_t first = 0;  // position of the first element
    std::uint32_t count = 0;
  };

  /// `bytes` must outlive the reader and be smaller than 2^31.
  explicit FlatReader(ByteView bytes) : bytes_(bytes) {}

  [[nodiscard]] ByteView bytes() const { return bytes_; }

  /// True when the buffer carries these four letters as its file identifier.
  [[nodiscard]] bool has_identifier(std::string_view letters) const;

  /// The table that the offset stored at `slot` leads to.
  [[nodiscard]] Result<Table> table(std::uint32_t slot) const;

  /// Position of the field whose vtable slot is `slot` (4 + 2 * id); 0 when it is absent. The `size` bytes
  /// of its value are inside the buffer and aligned.
  [[nodiscard]] Result<std::uint32_t> field(const Table& table, std::uint32_t slot, std::uint32_t size,
                                            std::uint32_t alignment) const;

  /// The vector that the offset stored at `slot` leads to; all elements are inside the buffer and aligned.
  [[nodiscard]] Result<Vector> vector(std::uint32_t slot, std::uint32_t element_size,
                                      std::uint32_t alignment) const;

  /// The string that the offset stored at `slot` leads to, without its terminator.
  [[nodiscard]] Result<std::string_view> string(std::uint32_t slot) const;

  /// Reads at a position that one of the above has checked.
  template <std::unsigned_integral T>
  [[nodiscard]] T load(std::uint32_t position) const {
    return load_le<T>(bytes_, position);
  }

 private:
  [[nodiscard]] bool contains(std::uint64_t position, std::uint64_t size) const {
    return position <= bytes_.size() && size <= bytes_.size() - position;
  }
  [[nodiscard]] Result<std::uint32_t> follow(std::uint32_t slot) const;

  ByteView bytes_;
};

}  // namespace vmsnap::reflect
