// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/report_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap::compat {
namespace {

std::string join(const std::vector<ChunkVersion>& path) {
  std::string text;
  for (const ChunkVersion& version : path) text += (text.empty() ? "" : " -> ") + to_string(version);
  return text;
}

std::string_view verdict(const Outcome& outcome) {
  if (!outcome.noticeable) return "the guest cannot notice";
  return outcome.allowed ? "allowed" : "refused";
}

void append_outcome(std::string& text, const Outcome& outcome) {
  text += fmt::format("  {:<9}  {}", to_string(outcome.kind), outcome.field);
  if (!outcome.value.empty()) text += " = " + outcome.value;
  if (!outcome.sentence.empty()) text += ": " + outcome.sentence;
  if (outcome.kind == OutcomeKind::kLost) text += fmt::format(" [{}]", verdict(outcome));
  text += '\n';
}

}  // namespace

std::string to_text(const MigrationReport& report, bool carried) {
  std::string text = fmt::format("level {} -> {}\n", report.from_level, report.to_level);
  std::size_t unchanged = 0;
  for (const DeviceReport& device : report.devices) {
    if (device.path.size() < 2 && device.outcomes.empty()) {
      ++unchanged;
      continue;
    }
    text += fmt::format("{}  {} {}\n", device.device, device.type, join(device.path));
    for (const OutcomeKind kind : {OutcomeKind::kLost, OutcomeKind::kDefaulted, OutcomeKind::kConverted}) {
      for (const Outcome& outcome : device.outcomes) {
        if (outcome.kind == kind) append_outcome(text, outcome);
      }
    }
    const auto is_carried = [](const Outcome& outcome) { return outcome.kind == OutcomeKind::kCarried; };
    const auto count = std::count_if(device.outcomes.begin(), device.outcomes.end(), is_carried);
    if (!carried && count > 0) {
      text += fmt::format("  {:<9}  {} field{}\n", "carried", count, count == 1 ? "" : "s");
    }
    for (const Outcome& outcome : device.outcomes) {
      if (carried && is_carried(outcome)) append_outcome(text, outcome);
    }
  }
  if (unchanged > 0) {
    text += fmt::format("{} device{} left as {}\n", unchanged, unchanged == 1 ? "" : "s",
                        unchanged == 1 ? "it was" : "they were");
  }
  return text;
}

nlohmann::ordered_json to_json(const MigrationReport& report) {
  using Json = nlohmann::ordered_json;
  Json devices = Json::array();
  for (const DeviceReport& device : report.devices) {
    Json path = Json::array();
    for (const ChunkVersion& version : device.path) path.push_back(to_string(version));
    Json fields = Json::array();
    for (const Outcome& outcome : device.outcomes) {
      Json field{{"field", outcome.field},          {"outcome", to_string(outcome.kind)},
                 {"value", outcome.value},          {"sentence", outcome.sentence},
                 {"from", to_string(outcome.from)}, {"to", to_string(outcome.to)}};
      if (outcome.kind == OutcomeKind::kLost) {
        field["noticeable"] = outcome.noticeable;
        field["allowed"] = outcome.allowed;
      }
      fields.push_back(std::move(field));
    }
    devices.push_back(Json{{"device", device.device},
                           {"type", device.type},
                           {"path", std::move(path)},
                           {"refused", device.refused()},
                           {"fields", std::move(fields)}});
  }
  return Json{{"from_level", report.from_level},
              {"to_level", report.to_level},
              {"refused", report.refused()},
              {"devices", std::move(devices)}};
}

}  // namespace vmsnap::compat
