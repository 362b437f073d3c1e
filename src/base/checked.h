// SPDX-License-Identifier: BSD-2-Clause
// Arithmetic on numbers that come from a file: an overflow is a value the caller has to look at.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace vmsnap {

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Rounds up to a multiple of `alignment`, which is a power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_align_up(T value, T alignment) {
  const auto bumped = checked_add<T>(value, alignment - 1);
  if (!bumped) return std::nullopt;
  return static_cast<T>(*bumped & ~(alignment - 1));
}

/// Rounds up to a multiple of `alignment` (a power of two), for values of ours that cannot overflow.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_up(T value, T alignment) {
  return static_cast<T>((value + alignment - 1) & ~(alignment - 1));
}

/// The value as a To, unless it does not fit.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

}  // namespace vmsnap
