// SPDX-License-Identifier: BSD-2-Clause
// XXH3 as the format uses it. XXH3 finds accidents; it does not stop an attacker (docs/security.md).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace vmsnap {

/// 128-bit digest in the canonical (big-endian) byte order of xxHash, the order in which it is printed.
struct Digest128 {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const Digest128&) const = default;
};

/// 32 lower-case hex digits.
[[nodiscard]] std::string to_string(const Digest128& digest);

[[nodiscard]] std::uint64_t xxh3_64(ByteView bytes);
[[nodiscard]] std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed);
[[nodiscard]] Digest128 xxh3_128(ByteView bytes);

/// Incremental hash over the concatenation of the views given to update(). Not thread-safe.
class Xxh3Stream {
 public:
  Xxh3Stream();
  explicit Xxh3Stream(std::uint64_t seed);
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;
  ~Xxh3Stream();

  void update(ByteView bytes);
  [[nodiscard]] std::uint64_t digest_64() const;
  [[nodiscard]] Digest128 digest_128() const;

 private:
  struct State;
  State* state_;
};

}  // namespace vmsnap
