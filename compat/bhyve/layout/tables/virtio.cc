// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/tables/virtio.h"

#include "base/checked.h"

namespace vmsnap::compat::bhyve::tables {

std::uint64_t ring_size(std::uint16_t entries) {
  constexpr std::uint64_t kPage = 4096;
  const std::uint64_t n = entries;
  return align_up<std::uint64_t>(16 * n + 2 * (3 + n), kPage) + align_up<std::uint64_t>(6 + 8 * n, kPage);
}

Result<std::uint64_t> ring_bytes(const Scope& scope) {
  const auto entries = scope.number("vq_qsize");
  if (!entries) return Error(ErrorKind::kInternal, "the layout asks for a ring before its size");
  return ring_size(static_cast<std::uint16_t>(entries->bits));
}

}  // namespace vmsnap::compat::bhyve::tables
