// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/layout.h"

#include <algorithm>

#include "base/checked.h"

namespace vmsnap::compat::bhyve {

std::size_t size_of(Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kI8:
    case Type::kBool:
    case Type::kByte:
      return 1;
    case Type::kU16:
    case Type::kI16:
      return 2;
    case Type::kU32:
    case Type::kI32:
      return 4;
    case Type::kU64:
    case Type::kI64:
    case Type::kGaddr:
    case Type::kGaddrOrNull:
    case Type::kHostPointer:
      return 8;
    case Type::kRecord:
      break;
  }
  return 0;
}

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kU8:
      return "u8";
    case Type::kU16:
      return "u16";
    case Type::kU32:
      return "u32";
    case Type::kU64:
      return "u64";
    case Type::kI8:
      return "i8";
    case Type::kI16:
      return "i16";
    case Type::kI32:
      return "i32";
    case Type::kI64:
      return "i64";
    case Type::kBool:
      return "bool";
    case Type::kGaddr:
      return "gaddr";
    case Type::kGaddrOrNull:
      return "gaddr or null";
    case Type::kHostPointer:
      return "host pointer";
    case Type::kByte:
      return "bytes";
    case Type::kRecord:
      break;
  }
  return "record";
}

bool is_signed(Type type) {
  return type == Type::kI8 || type == Type::kI16 || type == Type::kI32 || type == Type::kI64;
}

std::string_view to_string(Axis axis) {
  switch (axis) {
    case Axis::kPciPrefix:
      return "PCI prefix";
    case Axis::kRings:
      return "virtio rings";
    case Axis::kNetTail:
      return "virtio-net tail";
    case Axis::kAhci:
      return "ahci";
    case Axis::kXhci:
      break;
  }
  return "xhci";
}

std::string_view to_string(Shape shape) {
  return shape == Shape::kA ? "A" : "B";
}

Shape Context::shape(Axis axis) const {
  switch (axis) {
    case Axis::kPciPrefix:
      return pci_prefix;
    case Axis::kRings:
      return rings;
    case Axis::kNetTail:
      return net_tail;
    case Axis::kAhci:
      return ahci;
    case Axis::kXhci:
      break;
  }
  return xhci;
}

void Context::set_shapes(Shape shape) {
  pci_prefix = rings = net_tail = ahci = xhci = shape;
}

namespace {

/// How often the context alone says that the item is there; nothing when it takes more to know.
std::optional<std::uint64_t> known_count(const Item& item, const Context& context) {
  switch (item.condition.kind) {
    case Condition::Kind::kAlways:
      break;
    case Condition::Kind::kShape:
      if (context.shape(item.condition.axis) != item.condition.shape) return 0;
      break;
    case Condition::Kind::kMask:
    case Condition::Kind::kNotNull:
    case Condition::Kind::kFunction:
      return std::nullopt;
  }
  switch (item.count.source) {
    case Count::Source::kFixed:
      return item.count.fixed;
    case Count::Source::kContext:
      return context.count(item.count.context);
    case Count::Source::kField:
    case Count::Source::kFunction:
    case Count::Source::kUntilMinusOne:
      break;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> size_in(std::span<const Item> items, const Context& context) {
  std::uint64_t sum = 0;
  for (const Item& item : items) {
    const auto count = known_count(item, context);
    if (!count) return std::nullopt;
    if (*count == 0) continue;
    const auto each = item.type == Type::kRecord ? size_in(item.nested(), context) : size_of(item.type);
    const auto all = each ? checked_mul(*each, *count) : std::nullopt;
    const auto total = all ? checked_add(sum, *all) : std::nullopt;
    if (!total) return std::nullopt;
    sum = *total;
  }
  return sum;
}

}  // namespace

std::optional<std::uint64_t> Context::count(ContextValue value) const {
  switch (value) {
    case ContextValue::kVcpus:
      return vcpus;
    case ContextValue::kUarts:
      return uarts;
    case ContextValue::kCpusetLongs:
      return cpuset_longs;
    case ContextValue::kUsbDevices:
      break;
  }
  return usb_devices;
}

void Context::set_count(ContextValue value, std::uint64_t count) {
  switch (value) {
    case ContextValue::kVcpus:
      vcpus = count;
      break;
    case ContextValue::kUarts:
      uarts = count;
      break;
    case ContextValue::kCpusetLongs:
      cpuset_longs = count;
      break;
    case ContextValue::kUsbDevices:
      usb_devices = count;
      break;
  }
}

bool is_written_by(const Layout& layout, std::string_view generation) {
  std::string_view rest = layout.generations;
  if (rest == "all") return true;
  constexpr std::string_view kComma = ", ";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(kComma), rest.size());
    if (rest.substr(0, end) == generation) return true;
    rest.remove_prefix(std::min(end + kComma.size(), rest.size()));
  }
  return false;
}

bool has_item(std::span<const Item> items, std::string_view name) {
  return std::any_of(items.begin(), items.end(), [&](const Item& item) {
    return item.name == name || (item.type == Type::kRecord && has_item(item.nested(), name));
  });
}

std::uint64_t minimum_size(std::span<const Item> items) {
  std::uint64_t sum = 0;
  for (const Item& item : items) {
    if (item.condition.kind != Condition::Kind::kAlways) continue;
    const std::uint64_t each = item.type == Type::kRecord ? minimum_size(item.nested()) : size_of(item.type);
    if (item.count.source == Count::Source::kFixed) sum += item.count.fixed * each;
    if (item.count.source == Count::Source::kUntilMinusOne) sum += sizeof(std::int32_t);
  }
  return sum;
}

std::optional<std::uint64_t> size_in(const Layout& layout, const Context& context) {
  return size_in(layout.items(), context);
}

}  // namespace vmsnap::compat::bhyve
