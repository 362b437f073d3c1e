// SPDX-License-Identifier: BSD-2-Clause
// A guest physical address, kept apart from file offsets and host pointers by its type.
#pragma once

#include <compare>
#include <cstdint>

namespace vmsnap {

class Gpa {
 public:
  constexpr Gpa() = default;
  constexpr explicit Gpa(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  constexpr auto operator<=>(const Gpa&) const = default;

 private:
  std::uint64_t value_ = 0;
};

}  // namespace vmsnap
