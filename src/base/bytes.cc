// SPDX-License-Identifier: BSD-2-Clause
#include "base/bytes.h"

namespace vmsnap {

bool is_all_zero(ByteView bytes) {
  // A buffer is all zero when its first byte is and it equals itself shifted by one; the head is looked
  // at in words first so that the common non-zero page leaves at once, and memcmp is vectorised by libc.
  constexpr std::size_t kHead = 64;
  const std::size_t head = bytes.size() < kHead ? bytes.size() : kHead;
  std::byte any{0};
  for (std::size_t i = 0; i < head; ++i) any |= bytes[i];
  if (any != std::byte{0}) return false;
  if (bytes.size() <= kHead) return true;
  return std::memcmp(bytes.data(), bytes.data() + kHead, bytes.size() - kHead) == 0;
}

}  // namespace vmsnap
