// SPDX-License-Identifier: BSD-2-Clause
// A small encoder of ACPI Machine Language: each function returns the bytes of one term, and terms are
// nested by passing bytes on. Source: ACPI Specification 6.4, chapter 20 (AML) and 6.4 (resources).
//
// Arguments are ours, never a guest's or a file's: names and sizes that AML cannot express are bugs (assert).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace vmsnap::vmm::aml {

[[nodiscard]] ByteVector concat(std::initializer_list<ByteView> parts);

/// A path of one- to four-character names, e.g. "_HID", "\\_SB", "\\_SB.PCI0" (20.2.2).
[[nodiscard]] ByteVector name_string(std::string_view path);

/// The shortest encoding of `value` (20.2.3).
[[nodiscard]] ByteVector integer(std::uint64_t value);
[[nodiscard]] ByteVector string(std::string_view text);
/// A compressed EISA identifier, "PNP0A03", as an integer term (19.3.4).
[[nodiscard]] ByteVector eisa_id(std::string_view id);
[[nodiscard]] ByteVector buffer(ByteView bytes);
/// At most 255 elements.
[[nodiscard]] ByteVector package(const std::vector<ByteVector>& elements);

[[nodiscard]] ByteVector name(std::string_view path, ByteView object);
[[nodiscard]] ByteVector scope(std::string_view path, ByteView terms);
[[nodiscard]] ByteVector device(std::string_view path, ByteView terms);

/// A buffer with resource descriptors, closed by an end tag; the value of a _CRS.
[[nodiscard]] ByteVector resource_template(std::initializer_list<ByteView> descriptors);

/// A fixed range of I/O ports (6.4.2.5).
[[nodiscard]] ByteVector io_ports(std::uint16_t base, std::uint8_t size);
/// An ISA interrupt: edge, active high, not shared (6.4.2.1).
[[nodiscard]] ByteVector irq(std::uint32_t number);

/// Ranges that a bridge hands to the devices behind it (6.4.3.5); both ends are inclusive.
[[nodiscard]] ByteVector bus_window(std::uint16_t first, std::uint16_t last);
[[nodiscard]] ByteVector io_window(std::uint16_t first, std::uint16_t last);
[[nodiscard]] ByteVector memory_window(std::uint32_t first, std::uint32_t last);

}  // namespace vmsnap::vmm::aml
