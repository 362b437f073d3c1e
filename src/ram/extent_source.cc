// SPDX-License-Identifier: BSD-2-Clause
#include "ram/extent_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "format/constants.h"
#include "format/digest.h"
#include "ram/flat_ram.h"

namespace vmsnap {

std::uint64_t Extent::data_bytes() const {
  std::uint64_t sum = 0;
  for (const ByteRange& range : data) sum += range.end - range.begin;
  return sum;
}

std::uint64_t Extent::repeated_bytes() const {
  std::uint64_t sum = 0;
  for (const PageRepeat& repeat : repeats) sum += repeat.end - repeat.begin;
  return sum;
}

void find_data(Extent& extent) {
  extent.data.clear();
  for (std::uint64_t at = extent.begin; at < extent.end; at += kPageSize) {
    if (is_all_zero(extent.bytes.subspan(at - extent.begin, kPageSize))) continue;
    if (!extent.data.empty() && extent.data.back().end == at) {
      extent.data.back().end += kPageSize;
    } else {
      extent.data.push_back({at, at + kPageSize});
    }
  }
}

void use_storage(Extent& extent) {
  extent.bytes = extent.storage;
  extent.leaf = xxh3_64(extent.bytes);
  find_data(extent);
}

std::uint64_t ExtentSource::extent_count() const {
  return vmsnap::extent_count(size_, extent_shift_);
}

std::uint64_t ExtentSource::extent_end(std::uint64_t index) const {
  return std::min(size_, (index + 1) << extent_shift_);
}

Result<void> MemorySource::check(const RamSource& memory) {
  const std::uint64_t size = memory.bytes.size();
  const bool aligned = reinterpret_cast<std::uintptr_t>(memory.bytes.data()) % kPageSize == 0;
  if (size == 0 || size % kPageSize != 0 ||
      ((memory.private_anonymous || memory.mapped_from != nullptr) && !aligned)) {
    return Error(ErrorKind::kUsage, fmt::format("memory of {} bytes does not consist of whole pages", size));
  }
  VMSNAP_RETURN_IF_ERROR(choose_extent_shift(size));
  return {};
}

MemorySource::MemorySource(const RamSource& memory)
    : ExtentSource(memory.bytes.size(), choose_extent_shift(memory.bytes.size()).value()),
      memory_(memory),
      zero_leaf_(zero_hash(std::uint64_t{1} << extent_shift())) {}

Result<void> MemorySource::scan(std::uint64_t index, Extent& extent) {
  extent.begin = extent_begin(index);
  extent.end = extent_end(index);
  extent.bytes = memory_.bytes.subspan(extent.begin, extent.end - extent.begin);
  VMSNAP_ASSIGN_OR_RETURN(const bool zero, is_untouched_zero(index, extent.bytes));
  if (zero) {
    extent.data.clear();
  } else {
    find_data(extent);
  }
  if (!extent.data.empty()) {
    extent.leaf = xxh3_64(extent.bytes);
  } else {
    const std::uint64_t size = extent.bytes.size();
    extent.leaf = size == std::uint64_t{1} << extent_shift() ? zero_leaf_ : zero_hash(size);
  }
  return {};
}

Result<bool> MemorySource::is_untouched_zero(std::uint64_t index, ByteView bytes) {
  const bool of_file =
      memory_.mapped_from != nullptr && memory_.mapped_from->extent_shift() == extent_shift();
  if (!memory_.private_anonymous && !of_file) return false;
  if (!absent_.all_absent(bytes, memory_.bytes.data() + memory_.bytes.size())) return false;
  if (memory_.private_anonymous) return true;
  return memory_.mapped_from->is_hole(index, cursor_);
}

Result<bool> MemorySource::holds(std::uint64_t index, ByteView bytes) {
  const ByteView extent = memory_.bytes.subspan(extent_begin(index), extent_end(index) - extent_begin(index));
  return extent.size() == bytes.size() && std::memcmp(extent.data(), bytes.data(), bytes.size()) == 0;
}

}  // namespace vmsnap
