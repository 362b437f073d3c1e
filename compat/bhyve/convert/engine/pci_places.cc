// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/pci_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr unsigned kBuses = 256;
constexpr unsigned kSlots = 32;
constexpr unsigned kFunctions = 8;

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

/// A number of at most `largest`, the whole of `text`.
std::optional<std::uint8_t> parse_number(std::string_view text, std::uint8_t largest) {
  std::uint8_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || number > largest) return std::nullopt;
  return number;
}

std::optional<PciAddress> parse_address(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t colon = 0; colon != std::string_view::npos;) {
    colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  if (parts.size() > 3) return std::nullopt;
  if (parts.size() < 3) parts.insert(parts.begin(), "0");
  if (parts.size() < 3) parts.push_back("0");
  const auto bus = parse_number(parts[0], kBuses - 1);
  const auto slot = parse_number(parts[1], kSlots - 1);
  const auto function = parse_number(parts[2], kFunctions - 1);
  if (!bus || !slot || !function) return std::nullopt;
  return PciAddress{*bus, *slot, *function};
}

/// Gives out places, first come, first served.
class Places {
 public:
  explicit Places(const std::vector<NamedDevice>& devices) : devices_(devices), places_(devices.size()) {}

  std::vector<PciPlace> assign() {
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const auto named = parse_device_name(devices_[i].name).pci;
      if (is_pci(devices_[i]) && named) take(i, *named);
    }
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (needs_place(i) && devices_[i].said) take(i, *devices_[i].said);
    }
    unsigned next = 0;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (!needs_place(i)) continue;
      while (next < kBuses * kSlots && taken_slots_.count(next) != 0) ++next;
      if (next == kBuses * kSlots) break;
      take(i, {static_cast<std::uint8_t>(next / kSlots), static_cast<std::uint8_t>(next % kSlots), 0});
      places_[i].is_invented = true;
    }
    return std::move(places_);
  }

 private:
  [[nodiscard]] bool needs_place(std::size_t i) const {
    return is_pci(devices_[i]) && !parse_device_name(devices_[i].name).pci && places_[i].path.empty();
  }

  void take(std::size_t i, const PciAddress& address) {
    std::string path = path_of(address);
    if (!taken_.insert(path).second) return;
    taken_slots_.insert(address.bus * kSlots + address.slot);
    places_[i].path = std::move(path);
  }

  const std::vector<NamedDevice>& devices_;
  std::vector<PciPlace> places_;
  std::set<std::string> taken_;
  std::set<unsigned> taken_slots_ = {0};  // of the host bridge; bus x 32 + slot
};

}  // namespace

Result<std::vector<SaidPlace>> parse_places(std::span<const std::string> texts) {
  std::vector<SaidPlace> places;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const auto address = equals == std::string::npos || equals == 0
                             ? std::nullopt
                             : parse_address(std::string_view(text).substr(equals + 1));
    if (!address) {
      return Error(ErrorKind::kUsage,
                   fmt::format("{} is no place of a device; write NAME=SLOT, NAME=SLOT:FUNCTION or "
                               "NAME=BUS:SLOT:FUNCTION, as in virtio-blk=4:0",
                               shown(text)));
    }
    SaidPlace place{text.substr(0, equals), *address};
    const bool is_again = std::any_of(places.begin(), places.end(), [&](const SaidPlace& other) {
      return other.name == place.name || other.address == place.address;
    });
    if (is_again) {
      return Error(ErrorKind::kUsage,
                   fmt::format("{} names a device or a place that was named before", shown(text)));
    }
    places.push_back(std::move(place));
  }
  return places;
}

std::vector<PciPlace> assign_places(const std::vector<NamedDevice>& devices) {
  return Places(devices).assign();
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
