// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/layout/usb_devices.h"

#include <fmt/format.h>

#include <string>

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::size_t kIndexSize = 4;
constexpr std::size_t kRecordSize = kIndexSize + kUsbNameSize;

bool is_printable(std::byte byte) {
  return byte > std::byte{0x20} && byte < std::byte{0x7f};
}

std::string text_of(ByteView name) {
  std::string text;
  for (const std::byte byte : name) {
    if (byte == std::byte{0}) break;
    text += is_printable(byte) ? static_cast<char>(byte) : '?';
  }
  return text;
}

/// The position, from 1 on, of the attached device that the slot maps to; 0 when the slot is empty.
Result<std::uint64_t> device_of_slot(const Scope& scope) {
  const auto map = scope.number("map");
  if (!map) return Error(ErrorKind::kInternal, "the layout asks for the device of a slot before its map");
  const std::uint64_t devices = scope.context().usb_devices.value_or(0);
  for (std::uint64_t i = 1; i <= devices; ++i) {
    const auto index = scope.number(fmt::format("device[{}].index", i));
    if (!index) break;
    if (index->bits == map->bits) return i;
  }
  return std::uint64_t{0};
}

}  // namespace

std::uint64_t count_usb_devices(ByteView bytes) {
  std::uint64_t count = 0;
  std::uint32_t last_index = 0;
  while (count < kMaxUsbDevices && bytes.size() >= kRecordSize) {
    const auto index = load_le<std::uint32_t>(bytes, 0);
    if (index <= last_index || index > kMaxUsbDevices || !is_printable(bytes[kIndexSize])) break;
    last_index = index;
    bytes = bytes.subspan(kRecordSize);
    ++count;
  }
  return count;
}

Result<bool> slot_has_device(const Scope& scope) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t position, device_of_slot(scope));
  return position != 0;
}

Result<bool> slot_has_tablet(const Scope& scope) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t position, device_of_slot(scope));
  const auto name = scope.bytes(fmt::format("device[{}].name", position));
  if (!name) return Error(ErrorKind::kInternal, "the layout asks for the name of a device of an empty slot");
  const std::string text = text_of(*name);
  if (text == "tablet") return true;
  return Error(
      ErrorKind::kUnsupported,
      fmt::format("the slot has a USB device \"{}\", whose state has a length this program does not know; "
                  "it knows \"tablet\", the only one bhyve has had",
                  text));
}

}  // namespace vmsnap::compat::bhyve
