// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap::compat {
namespace {

constexpr std::size_t kMaxNamed = 32;

/// "DEVICE.field = value (consequence)", joined.
std::string list_refused(const std::vector<DeviceReport>& devices) {
  std::string text;
  std::size_t count = 0;
  for (const DeviceReport& device : devices) {
    for (const Outcome& outcome : device.outcomes) {
      if (!outcome.refused() || ++count > kMaxNamed) continue;
      text += fmt::format("{}{}.{} = {} ({})", text.empty() ? "" : "; ", device.device, outcome.field,
                          outcome.value, outcome.sentence);
    }
  }
  if (count > kMaxNamed) text += fmt::format("; and {} more", count - kMaxNamed);
  return text;
}

Error refusal(const std::vector<DeviceReport>& devices, const std::string& target, std::string_view advice) {
  return {ErrorKind::kUnsupported, fmt::format("{} cannot express what the guest could miss: {}; {}", target,
                                               list_refused(devices), advice)};
}

}  // namespace

std::string_view to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::kCarried:
      return "carried";
    case OutcomeKind::kConverted:
      return "converted";
    case OutcomeKind::kDefaulted:
      return "defaulted";
    case OutcomeKind::kLost:
      return "lost";
  }
  return "lost";
}

bool DeviceReport::refused() const {
  return std::any_of(outcomes.begin(), outcomes.end(),
                     [](const Outcome& outcome) { return outcome.refused(); });
}

bool MigrationReport::refused() const {
  return std::any_of(devices.begin(), devices.end(),
                     [](const DeviceReport& device) { return device.refused(); });
}

Error refusal(const MigrationReport& report, std::string_view advice) {
  return refusal(report.devices, fmt::format("level {}", report.to_level), advice);
}

Error refusal(const DeviceReport& report) {
  return refusal(std::vector<DeviceReport>{report},
                 fmt::format("version {} of {}", to_string(report.path.back()), report.type), kUsualAdvice)
      .in_device(report.device);
}

}  // namespace vmsnap::compat
