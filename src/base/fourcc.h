// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace vmsnap {

/// A four-letter chunk type; the same four letters are the FlatBuffers file identifier of the chunk's meta.
/// On disk the letters stand in reading order.
class FourCc {
 public:
  constexpr FourCc() = default;
  constexpr explicit FourCc(std::uint32_t little_endian_value) : value_(little_endian_value) {}
  /// From a literal of exactly four letters: `FourCc("UART")`.
  constexpr explicit FourCc(const char (&letters)[5])
      : value_(byte(letters[0]) | byte(letters[1]) << 8 | byte(letters[2]) << 16 | byte(letters[3]) << 24) {}

  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }
  constexpr auto operator<=>(const FourCc&) const = default;

  /// True when all four are printable ASCII without quotes or backslash; the format allows no other types.
  [[nodiscard]] bool is_printable() const;
  /// The letters; a byte that is not printable is shown as `\xNN`.
  [[nodiscard]] std::string to_string() const;

 private:
  static constexpr std::uint32_t byte(char c) { return static_cast<unsigned char>(c); }

  std::uint32_t value_ = 0;
};

}  // namespace vmsnap
