// SPDX-License-Identifier: BSD-2-Clause
// A verdict in words.
#include "bhyve/verdict/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "bhyve/verdict/device_axes.h"
#include "bhyve/verdict/device_fit.h"

namespace vmsnap::compat::bhyve {

std::string_view to_string(Certainty certainty) {
  switch (certainty) {
    case Certainty::kNone:
      return "unknown";
    case Certainty::kGuess:
      return "guessed";
    case Certainty::kLikely:
      return "likely";
    case Certainty::kCertain:
      return "certain";
    case Certainty::kAssumed:
      return "assumed";
  }
  return "unknown";
}

void Verdict::say(std::string_view axis, std::string shape, Certainty certainty, std::string evidence) {
  axes.push_back({axis, std::move(shape), certainty, std::move(evidence)});
}

const AxisVerdict* Verdict::find(std::string_view axis) const {
  for (const AxisVerdict& one : axes) {
    if (one.axis == axis) return &one;
  }
  return nullptr;
}

std::string Verdict::generation_text() const {
  if (generations.empty())
    return fmt::format("mixed; nearest to {}, but for {}", to_string(nearest), fmt::join(deviating, ", "));
  std::vector<std::string> names;
  for (const Generation generation : generations)
    names.push_back(fmt::format("{} ({})", to_string(generation), releases_of(generation)));
  return fmt::format("{}", fmt::join(names, " or "));
}

std::string shape_text(const ClassifiedEntry& one) {
  if (one.layout == nullptr) return {};
  const std::vector<Axis> axes = axes_of(*one.layout);
  if (axes.empty()) return std::string(one.layout->shape);
  std::vector<std::string> parts;
  for (const auto& [name, axis] : kDeviceAxes) {
    if (std::find(axes.begin(), axes.end(), axis) != axes.end())
      parts.push_back(fmt::format("{} {}", name, to_string(one.context.shape(axis))));
  }
  if (one.context.uarts) parts.push_back(fmt::format("{} UARTs", *one.context.uarts));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace vmsnap::compat::bhyve
