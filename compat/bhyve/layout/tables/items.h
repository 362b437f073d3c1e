// SPDX-License-Identifier: BSD-2-Clause
// The words in which the tables are written.
#pragma once

#include "bhyve/layout/layout.h"

namespace vmsnap::compat::bhyve::tables {

constexpr Item item_of(std::string_view name, Type type, std::uint64_t count) {
  Item item;
  item.name = name;
  item.type = type;
  item.count.fixed = count;
  return item;
}

constexpr Item u8(std::string_view name, std::uint64_t count = 1) {
  return item_of(name, Type::kU8, count);
}
constexpr Item u16(std::string_view name, std::uint64_t count = 1) {
  return item_of(name, Type::kU16, count);
}
constexpr Item u32(std::string_view name, std::uint64_t count = 1) {
  return item_of(name, Type::kU32, count);
}
constexpr Item u64(std::string_view name, std::uint64_t count = 1) {
  return item_of(name, Type::kU64, count);
}
constexpr Item i8(std::string_view name) {
  return item_of(name, Type::kI8, 1);
}
constexpr Item i16(std::string_view name) {
  return item_of(name, Type::kI16, 1);
}
constexpr Item i32(std::string_view name, std::uint64_t count = 1) {
  return item_of(name, Type::kI32, count);
}
constexpr Item i64(std::string_view name) {
  return item_of(name, Type::kI64, 1);
}
constexpr Item boolean(std::string_view name) {
  return item_of(name, Type::kBool, 1);
}
constexpr Item gaddr(std::string_view name) {
  return item_of(name, Type::kGaddr, 1);
}
constexpr Item gaddr_or_null(std::string_view name) {
  return item_of(name, Type::kGaddrOrNull, 1);
}
constexpr Item bytes(std::string_view name, std::uint64_t count) {
  return item_of(name, Type::kByte, count);
}

/// Bytes between the members of a C structure that is stored whole.
constexpr Item padding(std::string_view name, std::uint64_t count) {
  return bytes(name, count).meaningless("padding of a C structure");
}

/// A host pointer that a reader may only ask for being 0, and a writer may replace by 1.
constexpr Item flag_pointer(std::string_view name) {
  return item_of(name, Type::kHostPointer, 1)
      .meaningless("host pointer; only whether it is 0 means something");
}

template <std::size_t N>
constexpr Item record(std::string_view name, const Item (&items)[N]) {
  Item item = item_of(name, Type::kRecord, 1);
  item.items = items;
  item.item_count = N;
  return item;
}

/// Items that lie here as if they were listed here. What has a title gets a section of its own in
/// documentation, however many tables it is part of.
template <std::size_t N>
constexpr Item group(const Item (&items)[N], std::string_view title = {}) {
  return record({}, items).note(title);
}

/// One record for each of the machine's vCPUs.
template <std::size_t N>
constexpr Item for_each_vcpu(const Item (&items)[N]) {
  return record("vcpu", items).times(ContextValue::kVcpus);
}

/// Generations A and A2: records for all the vCPUs that a machine could have, used or not.
inline constexpr std::uint64_t kVcpusOfA = 16;
template <std::size_t N>
constexpr Item for_each_vcpu_of_a(const Item (&items)[N]) {
  return record("vcpu", items).times(kVcpusOfA).per_vcpu();
}

template <std::size_t N>
constexpr Layout layout(std::string_view chunk, std::string_view shape, std::string_view generations,
                        const Item (&items)[N], std::string_view remark = {}) {
  return {chunk, shape, generations, std::nullopt, items, N, remark};
}

template <std::size_t N>
constexpr Layout layout(std::string_view chunk, std::string_view shape, std::string_view generations,
                        Vendor vendor, const Item (&items)[N], std::string_view remark = {}) {
  return {chunk, shape, generations, vendor, items, N, remark};
}

}  // namespace vmsnap::compat::bhyve::tables
