// SPDX-License-Identifier: BSD-2-Clause
#include "boot/aml.h"

#include <cassert>

namespace vmsnap::vmm::aml {
namespace {

constexpr std::uint8_t kZeroOp = 0x00;
constexpr std::uint8_t kOneOp = 0x01;
constexpr std::uint8_t kNameOp = 0x08;
constexpr std::uint8_t kBytePrefix = 0x0a;
constexpr std::uint8_t kWordPrefix = 0x0b;
constexpr std::uint8_t kDwordPrefix = 0x0c;
constexpr std::uint8_t kStringPrefix = 0x0d;
constexpr std::uint8_t kQwordPrefix = 0x0e;
constexpr std::uint8_t kScopeOp = 0x10;
constexpr std::uint8_t kBufferOp = 0x11;
constexpr std::uint8_t kPackageOp = 0x12;
constexpr std::uint8_t kDualNamePrefix = 0x2e;
constexpr std::uint8_t kMultiNamePrefix = 0x2f;
constexpr std::uint8_t kExtPrefix = 0x5b;
constexpr std::uint8_t kDeviceOp = 0x82;

// Small and large resource tags.
constexpr std::uint8_t kIrqTag = 0x22;  // two bytes of body: no flags, so edge and active high
constexpr std::uint8_t kIoPortsTag = 0x47;
constexpr std::uint8_t kEndTag = 0x79;
constexpr std::uint8_t kDwordSpaceTag = 0x87;
constexpr std::uint8_t kWordSpaceTag = 0x88;

constexpr std::uint8_t kSpaceMemory = 0;
constexpr std::uint8_t kSpaceIo = 1;
constexpr std::uint8_t kSpaceBus = 2;
constexpr std::uint8_t kProducerFixedRange = 0x0c;  // both ends fixed, positive decode, for the devices below
constexpr std::uint8_t kIoEntireRange = 3;
constexpr std::uint8_t kMemoryReadWrite = 1;  // and not cacheable

template <std::unsigned_integral T>
void append(ByteVector& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store_le<T>(out, at, value);
}

void append(ByteVector& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

ByteVector one_byte(std::uint8_t value) {
  return {std::byte{value}};
}

// PkgLength counts itself; its own size depends on the sum (20.2.4).
ByteVector package_length(std::size_t content) {
  if (content + 1 < 0x40) return one_byte(static_cast<std::uint8_t>(content + 1));
  for (std::size_t extra = 1; extra <= 3; ++extra) {
    const std::size_t total = content + 1 + extra;
    if (total >= std::size_t{1} << (4 + 8 * extra)) continue;
    ByteVector out = one_byte(static_cast<std::uint8_t>((extra << 6) | (total & 0x0f)));
    for (std::size_t i = 0; i < extra; ++i) append(out, static_cast<std::uint8_t>(total >> (4 + 8 * i)));
    return out;
  }
  assert(false && "an AML package may have 256 MiB at most");
  return {};
}

ByteVector with_length(ByteView opcode, std::initializer_list<ByteView> content) {
  const ByteVector body = concat(content);
  return concat({opcode, package_length(body.size()), body});
}

void append_name_segment(ByteVector& out, std::string_view segment) {
  assert(!segment.empty() && segment.size() <= 4);
  append(out, as_byte_view(segment));
  for (std::size_t i = segment.size(); i < 4; ++i) append(out, std::uint8_t{'_'});
}

template <std::unsigned_integral T>
ByteVector space_window(std::uint8_t tag, std::uint8_t space, std::uint8_t type_flags, T first, T last) {
  ByteVector out = one_byte(tag);
  append<std::uint16_t>(out, static_cast<std::uint16_t>(3 + 5 * sizeof(T)));
  append(out, space);
  append(out, kProducerFixedRange);
  append(out, type_flags);
  append<T>(out, 0);  // granularity
  append<T>(out, first);
  append<T>(out, last);
  append<T>(out, 0);  // translation
  append<T>(out, static_cast<T>(last - first + 1));
  return out;
}

}  // namespace

ByteVector concat(std::initializer_list<ByteView> parts) {
  ByteVector out;
  for (const ByteView part : parts) append(out, part);
  return out;
}

ByteVector name_string(std::string_view path) {
  ByteVector out;
  if (!path.empty() && path.front() == '\\') {
    append(out, std::uint8_t{'\\'});
    path.remove_prefix(1);
  }
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    segments.push_back(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  assert(segments.size() <= 255);
  if (segments.empty()) append(out, std::uint8_t{0});
  if (segments.size() == 2) append(out, kDualNamePrefix);
  if (segments.size() > 2) {
    append(out, kMultiNamePrefix);
    append(out, static_cast<std::uint8_t>(segments.size()));
  }
  for (const std::string_view segment : segments) append_name_segment(out, segment);
  return out;
}

ByteVector integer(std::uint64_t value) {
  if (value == 0) return one_byte(kZeroOp);
  if (value == 1) return one_byte(kOneOp);
  ByteVector out;
  if (value <= 0xff) {
    append(out, kBytePrefix);
    append(out, static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    append(out, kWordPrefix);
    append(out, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffffffff) {
    append(out, kDwordPrefix);
    append(out, static_cast<std::uint32_t>(value));
  } else {
    append(out, kQwordPrefix);
    append(out, value);
  }
  return out;
}

ByteVector string(std::string_view text) {
  return concat({one_byte(kStringPrefix), as_byte_view(text), one_byte(0)});
}

ByteVector eisa_id(std::string_view id) {
  assert(id.size() == 7);
  const auto letter = [&](std::size_t i) { return static_cast<std::uint32_t>(id[i] - '@') & 0x1f; };
  const auto digit = [&](std::size_t i) {
    const char c = id[i];
    return static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
  };
  const std::uint32_t value = letter(0) << 26 | letter(1) << 21 | letter(2) << 16 | digit(3) << 12 |
                              digit(4) << 8 | digit(5) << 4 | digit(6);
  // The identifier is big-endian inside the integer.
  return integer(__builtin_bswap32(value));
}

ByteVector buffer(ByteView bytes) {
  return with_length(one_byte(kBufferOp), {integer(bytes.size()), bytes});
}

ByteVector package(const std::vector<ByteVector>& elements) {
  assert(elements.size() <= 255);
  ByteVector content = one_byte(static_cast<std::uint8_t>(elements.size()));
  for (const ByteVector& element : elements) append(content, ByteView(element));
  return with_length(one_byte(kPackageOp), {content});
}

ByteVector name(std::string_view path, ByteView object) {
  return concat({one_byte(kNameOp), name_string(path), object});
}

ByteVector scope(std::string_view path, ByteView terms) {
  return with_length(one_byte(kScopeOp), {name_string(path), terms});
}

ByteVector device(std::string_view path, ByteView terms) {
  return with_length(concat({one_byte(kExtPrefix), one_byte(kDeviceOp)}), {name_string(path), terms});
}

ByteVector resource_template(std::initializer_list<ByteView> descriptors) {
  // The checksum byte of the end tag may be 0, which means "not computed" (6.4.2.9).
  return buffer(concat({concat(descriptors), one_byte(kEndTag), one_byte(0)}));
}

ByteVector io_ports(std::uint16_t base, std::uint8_t size) {
  ByteVector out = one_byte(kIoPortsTag);
  append(out, std::uint8_t{1});  // decodes 16 bits
  append(out, base);
  append(out, base);
  append(out, std::uint8_t{1});  // alignment
  append(out, size);
  return out;
}

ByteVector irq(std::uint32_t number) {
  assert(number < 16);
  ByteVector out = one_byte(kIrqTag);
  append(out, static_cast<std::uint16_t>(1u << number));
  return out;
}

ByteVector bus_window(std::uint16_t first, std::uint16_t last) {
  return space_window<std::uint16_t>(kWordSpaceTag, kSpaceBus, 0, first, last);
}

ByteVector io_window(std::uint16_t first, std::uint16_t last) {
  return space_window<std::uint16_t>(kWordSpaceTag, kSpaceIo, kIoEntireRange, first, last);
}

ByteVector memory_window(std::uint32_t first, std::uint32_t last) {
  return space_window<std::uint32_t>(kDwordSpaceTag, kSpaceMemory, kMemoryReadWrite, first, last);
}

}  // namespace vmsnap::vmm::aml
