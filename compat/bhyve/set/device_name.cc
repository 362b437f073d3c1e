// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/device_name.h"

#include <charconv>

namespace vmsnap::compat::bhyve {
namespace {

/// Takes a number of at most `largest` off the front of `text`.
bool take_number(std::string_view& text, std::uint8_t largest, std::uint8_t& number) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number > largest) return false;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return true;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<DeviceName> split(std::string_view name, std::string_view marker, char separator) {
  const std::size_t at = name.rfind(marker);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = name.substr(at + marker.size());
  PciAddress address;
  if (!take_number(rest, 255, address.bus) || !take(rest, separator) ||
      !take_number(rest, 31, address.slot) || !take(rest, separator) ||
      !take_number(rest, 7, address.function) || !rest.empty()) {
    return std::nullopt;
  }
  return DeviceName{name.substr(0, at), address};
}

}  // namespace

DeviceName parse_device_name(std::string_view name) {
  if (const auto found = split(name, "@pci.", '.')) return *found;
  if (const auto found = split(name, "-pci-", '-')) return *found;
  return {name, std::nullopt};
}

}  // namespace vmsnap::compat::bhyve
