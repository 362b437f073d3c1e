// SPDX-License-Identifier: BSD-2-Clause
#include "core/io_bus.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"

namespace vmsnap::vmm {

Result<void> IoBus::add(std::uint64_t base, std::uint64_t size, IoHandler& handler) {
  const auto end = checked_add(base, size);
  if (size == 0 || !end) {
    return Error(ErrorKind::kInvalidState,
                 fmt::format("the bus range at {:#x} of size {:#x} is empty or wraps", base, size));
  }
  const std::unique_lock lock(mutex_);
  const auto next = ranges_.lower_bound(base);
  const bool hits_next = next != ranges_.end() && next->first < *end;
  const bool hits_previous =
      next != ranges_.begin() && std::prev(next)->first + std::prev(next)->second.size > base;
  if (hits_next || hits_previous) {
    return Error(ErrorKind::kInvalidState,
                 fmt::format("the bus range at {:#x} of size {:#x} overlaps another device", base, size));
  }
  ranges_.emplace(base, Range{size, &handler});
  return {};
}

void IoBus::remove(std::uint64_t base) {
  const std::unique_lock lock(mutex_);
  ranges_.erase(base);
}

IoBus::Hit IoBus::find(std::uint64_t address, std::size_t size) const {
  const std::shared_lock lock(mutex_);
  const auto after = ranges_.upper_bound(address);
  if (after == ranges_.begin()) return {nullptr, 0};
  const auto& [base, range] = *std::prev(after);
  const std::uint64_t offset = address - base;
  if (offset >= range.size || size > range.size - offset) return {nullptr, 0};
  return {range.handler, offset};
}

// The lock is not held during the call: a handler may move its own range (a write to a BAR).
void IoBus::read(std::uint64_t address, MutableByteView data) const {
  const Hit hit = find(address, data.size());
  if (hit.handler == nullptr) {
    std::fill(data.begin(), data.end(), std::byte{0xff});
    return;
  }
  hit.handler->read(hit.offset, data);
}

void IoBus::write(std::uint64_t address, ByteView data) const {
  const Hit hit = find(address, data.size());
  if (hit.handler != nullptr) hit.handler->write(hit.offset, data);
}

}  // namespace vmsnap::vmm
