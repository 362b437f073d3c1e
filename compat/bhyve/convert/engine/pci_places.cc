// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/pci_places.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

namespace vmsnap::compat::bhyve {
namespace {

constexpr unsigned kBuses = 256;
constexpr unsigned kSlots = 32;

std::string path_of(const PciAddress& address) {
  return fmt::format("pci{}/{:02x}:{:02x}.{:x}", 0, address.bus, address.slot, address.function);
}

bool is_pci(const NamedDevice& device) {
  return !device.chunk.empty() && device.chunk != "atkbdc";
}

std::optional<std::uint8_t> hex_at(std::string_view text, std::size_t at, std::size_t digits) {
  unsigned value = 0;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, begin + digits, value, 16);
  if (error != std::errc{} || end != begin + digits) return std::nullopt;
  return static_cast<std::uint8_t>(value);
}

}  // namespace

std::vector<PciPlace> assign_places(const std::vector<NamedDevice>& devices) {
  std::vector<PciPlace> places(devices.size());
  std::set<std::string> taken;
  std::set<unsigned> taken_slots = {0};  // of the host bridge; bus x 32 + slot
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto address = parse_device_name(devices[i].name).pci;
    if (!is_pci(devices[i]) || !address) continue;
    const std::string path = path_of(*address);
    if (!taken.insert(path).second) continue;
    taken_slots.insert(address->bus * kSlots + address->slot);
    places[i].path = path;
  }
  unsigned next = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!is_pci(devices[i]) || parse_device_name(devices[i].name).pci) continue;
    while (next < kBuses * kSlots && taken_slots.count(next) != 0) ++next;
    if (next == kBuses * kSlots) break;
    taken_slots.insert(next);
    const PciAddress address{static_cast<std::uint8_t>(next / kSlots),
                             static_cast<std::uint8_t>(next % kSlots), 0};
    places[i] = {path_of(address), true};
  }
  return places;
}

std::optional<PciAddress> address_of(std::string_view path) {
  constexpr std::string_view kForm = "pci0/bb:ss.f";
  if (path.size() != kForm.size() || path.substr(0, 5) != kForm.substr(0, 5) || path[7] != ':' ||
      path[10] != '.') {
    return std::nullopt;
  }
  const auto bus = hex_at(path, 5, 2);
  const auto slot = hex_at(path, 8, 2);
  const auto function = hex_at(path, 11, 1);
  if (!bus || !slot || !function) return std::nullopt;
  return PciAddress{*bus, *slot, *function};
}

}  // namespace vmsnap::compat::bhyve
