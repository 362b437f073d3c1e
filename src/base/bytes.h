// SPDX-License-Identifier: BSD-2-Clause
// Views of bytes and little-endian access to them. Every integer on disk is little-endian.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace vmsnap {

/// Borrowed; the owner of the bytes must outlive the view.
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;
using ByteVector = std::vector<std::byte>;

static_assert(std::endian::native == std::endian::little,
              "the RAM path and the framing assume a little-endian host");

/// Reads a T at `offset`; the caller has checked that `bytes` reaches that far.
template <std::unsigned_integral T>
[[nodiscard]] T load_le(ByteView bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return value;
}

/// Writes a T at `offset`; the caller has checked that `bytes` reaches that far.
template <std::unsigned_integral T>
void store_le(MutableByteView bytes, std::size_t offset, T value) {
  std::memcpy(bytes.subspan(offset, sizeof value).data(), &value, sizeof value);
}

/// The bytes of a string, without a terminator; borrowed from `text`.
[[nodiscard]] inline ByteView as_byte_view(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

/// `data` may be null when `size` is 0.
[[nodiscard]] inline ByteView as_byte_view(const void* data, std::size_t size) {
  return {static_cast<const std::byte*>(data), size};
}

/// True when every byte is zero; at memory speed.
[[nodiscard]] bool is_all_zero(ByteView bytes);

}  // namespace vmsnap
