// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/flat_reader.h"

#include <fmt/format.h>

namespace vmsnap::reflect {
namespace {

template <typename... Args>
Error damaged(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kCorrupt, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace

bool FlatReader::has_identifier(std::string_view letters) const {
  if (!contains(4, 4)) return false;
  const auto found = bytes_.subspan(4, 4);
  return std::string_view(reinterpret_cast<const char*>(found.data()), 4) == letters;
}

Result<std::uint32_t> FlatReader::follow(std::uint32_t slot) const {
  if (slot % 4 != 0) return damaged("the offset at byte {} is not aligned", slot);
  if (!contains(slot, 4)) {
    return damaged("the offset at byte {} lies outside the {} bytes of the data", slot, bytes_.size());
  }
  const auto distance = load<std::uint32_t>(slot);
  if (distance == 0 || distance > 0x7fffffff || !contains(std::uint64_t{slot} + distance, 1)) {
    return damaged("the offset at byte {} leads {} bytes on, outside the {} bytes of the data", slot,
                   distance, bytes_.size());
  }
  return slot + distance;
}

Result<FlatReader::Table> FlatReader::table(std::uint32_t slot) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, follow(slot));
  if (at % 4 != 0 || !contains(at, 4)) {
    return damaged("the table at byte {} is not aligned or does not fit into the {} bytes of the data", at,
                   bytes_.size());
  }
  const auto back = static_cast<std::int32_t>(load<std::uint32_t>(at));
  const auto vtable = std::int64_t{at} - back;
  if (vtable < 0 || vtable % 2 != 0 || !contains(static_cast<std::uint64_t>(vtable), 4)) {
    return damaged("the vtable of the table at byte {} lies at byte {}, which cannot be", at, vtable);
  }
  const Table found{at, static_cast<std::uint32_t>(vtable),
                    load<std::uint16_t>(static_cast<std::uint32_t>(vtable))};
  if (found.vtable_size < 4 || found.vtable_size % 2 != 0 || !contains(found.vtable, found.vtable_size)) {
    return damaged("the vtable at byte {} has an impossible size of {} bytes", found.vtable,
                   found.vtable_size);
  }
  return found;
}

Result<std::uint32_t> FlatReader::field(const Table& table, std::uint32_t slot, std::uint32_t size,
                                        std::uint32_t alignment) const {
  if (slot + 2 > table.vtable_size) return 0u;
  const std::uint32_t distance = load<std::uint16_t>(table.vtable + slot);
  if (distance == 0) return 0u;
  const std::uint64_t at = std::uint64_t{table.at} + distance;
  if (at % alignment != 0 || !contains(at, size)) {
    return damaged(
        "the value at byte {}, {} bytes long, is not aligned to {} or does not fit into the {} bytes "
        "of the data",
        at, size, alignment, bytes_.size());
  }
  return static_cast<std::uint32_t>(at);
}

Result<FlatReader::Vector> FlatReader::vector(std::uint32_t slot, std::uint32_t element_size,
                                              std::uint32_t alignment) const {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t at, follow(slot));
  if (at % 4 != 0 || !contains(at, 4)) {
    return damaged("the vector at byte {} is not aligned or does not fit into the {} bytes of the data", at,
                   bytes_.size());
  }
  const Vector found{at + 4, load<std::uint32_t>(at)};
  if (!contains(found.first, std::uint64_t{found.count} * element_size)) {
    return damaged("the vector at byte {} has {} elements, more than fit into the {} bytes of the data", at,
                   found.count, bytes_.size());
  }
  if (found.count != 0 && found.first % alignment != 0) {
    return damaged("the elements of the vector at byte {} are not aligned to {}", at, alignment);
  }
  return found;
}

Result<std::string_view> FlatReader::string(std::uint32_t slot) const {
  VMSNAP_ASSIGN_OR_RETURN(const Vector characters, vector(slot, 1, 1));
  const std::uint64_t end = std::uint64_t{characters.first} + characters.count;
  if (!contains(end, 1) || bytes_[end] != std::byte{0}) {
    return damaged("the string at byte {} does not end with a zero byte", characters.first - 4);
  }
  return std::string_view(reinterpret_cast<const char*>(bytes_.data()) + characters.first, characters.count);
}

}  // namespace vmsnap::reflect
