// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "migrate/carry.h"
#include "migrate/convert.h"
#include "reflect/text_escape.h"

namespace vmsnap::compat {
namespace {

/// True when `name` is `field` or leads to it.
bool leads_to(std::string_view name, std::string_view field) {
  if (!field.starts_with(name)) return false;
  return field.size() == name.size() || field[name.size()] == '.' || field[name.size()] == '[';
}

bool covers_one(std::string_view name, std::string_view device, std::string_view field) {
  if (!name.starts_with(device)) return false;
  name.remove_prefix(device.size());
  if (name.size() < 2 || name[0] != '.') return false;
  name.remove_prefix(1);
  return leads_to(name, field) || leads_to(name, without_indices(field));
}

}  // namespace

Result<AllowedLosses> AllowedLosses::parse(std::vector<std::string> names) {
  for (const std::string& name : names) {
    const std::size_t dot = name.find('.');
    if (dot != std::string::npos && dot > 0 && !name.ends_with('.')) continue;
    std::string shown;
    reflect::append_escaped(shown, std::string_view(name).substr(0, 300));
    return Error(ErrorKind::kUsage,
                 fmt::format("\"{}\" names no loss; write the path of the device, a dot and the field, as in "
                             "\"isa0/uart@3f8.transmit_fifo\"",
                             shown));
  }
  AllowedLosses allowed;
  allowed.names_ = std::move(names);
  return allowed;
}

bool AllowedLosses::covers(std::string_view device, std::string_view field) const {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return covers_one(name, device, field); });
}

std::vector<std::string> AllowedLosses::unused(const MigrationReport& report) const {
  std::vector<std::string> unused;
  for (const std::string& name : names_) {
    const bool used =
        std::any_of(report.devices.begin(), report.devices.end(), [&](const DeviceReport& device) {
          return std::any_of(device.outcomes.begin(), device.outcomes.end(), [&](const Outcome& outcome) {
            return outcome.kind == OutcomeKind::kLost && covers_one(name, device.device, outcome.field);
          });
        });
    if (!used) unused.push_back(name);
  }
  return unused;
}

}  // namespace vmsnap::compat
