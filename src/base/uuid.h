// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <compare>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace vmsnap {

/// A UUID (RFC 9562) in network byte order, the order in which it is printed.
struct Uuid {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;

  /// A random (version 4) UUID from getrandom(2). Errors: Io.
  [[nodiscard]] static Result<Uuid> random();
};

/// `8-4-4-4-12` lower-case hex.
[[nodiscard]] std::string to_string(const Uuid& uuid);

}  // namespace vmsnap
