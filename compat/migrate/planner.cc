// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/planner.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmsnap::compat {
namespace {

template <typename... Args>
Error bug(const Step& step, fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::kInternal,
          fmt::format("the step of {} from {} to {} {}", step.type, to_string(step.from), to_string(step.to),
                      fmt::format(format, std::forward<Args>(args)...))};
}

Error no_schema(std::string_view type, ChunkVersion version) {
  return {ErrorKind::kUnsupported,
          fmt::format("this build does not know version {} of {}; use a newer release", to_string(version),
                      type)};
}

}  // namespace

Result<Planner> Planner::create(const std::vector<ChunkType>& types, const std::vector<Step>& steps) {
  Planner planner;
  for (const ChunkType& type : types) planner.known_.push_back({type.name, type.version});
  std::sort(planner.known_.begin(), planner.known_.end());
  for (const Step& step : steps) {
    VMSNAP_RETURN_IF_ERROR(planner.check(step));
    planner.steps_.push_back(step);
  }
  return planner;
}

Result<void> Planner::check(const Step& step) const {
  if (step.function == nullptr) return bug(step, "has no function; give it one or leave it out");
  const std::vector<ChunkVersion> known = versions(step.type);
  const auto from = std::find(known.begin(), known.end(), step.from);
  const auto to = std::find(known.begin(), known.end(), step.to);
  if (from == known.end() || to == known.end()) {
    return bug(step, "names a version without a frozen schema; freeze it or correct the step");
  }
  const bool same_major = step.from.major == step.to.major;
  const bool neighbours =
      same_major ? std::abs(from - to) == 1 : std::abs(int{step.from.major} - int{step.to.major}) == 1;
  if (!neighbours) return bug(step, "does not lead to a neighbour; split it");
  for (const Step& other : steps_) {
    if (other.type != step.type) continue;
    const bool twice = same_major ? other.from == step.from && other.to == step.to
                                  : other.from.major == step.from.major && other.to.major == step.to.major;
    if (twice) {
      return bug(step, "and the one from {} to {} do the same, so the way is ambiguous; keep one",
                 to_string(other.from), to_string(other.to));
    }
  }
  return {};
}

std::vector<ChunkVersion> Planner::versions(std::string_view type) const {
  std::vector<ChunkVersion> found;
  for (const Known& known : known_) {
    if (known.type == type) found.push_back(known.version);
  }
  return found;
}

const Step* Planner::find(std::string_view type, ChunkVersion from, ChunkVersion to) const {
  const auto found = std::find_if(steps_.begin(), steps_.end(), [&](const Step& step) {
    return step.type == type && step.from == from && step.to == to;
  });
  return found == steps_.end() ? nullptr : &*found;
}

void Planner::pass_minors(std::string_view type, ChunkVersion to, std::vector<ChunkVersion>& way) const {
  std::vector<ChunkVersion> between;
  const ChunkVersion from = way.back();
  for (const ChunkVersion& version : versions(type)) {
    const bool above = version > from && version <= to;
    const bool below = version < from && version >= to;
    if (above || below) between.push_back(version);
  }
  if (to < from) std::reverse(between.begin(), between.end());
  way.insert(way.end(), between.begin(), between.end());
}

Result<std::vector<ChunkVersion>> Planner::plan(std::string_view type, ChunkVersion from,
                                                ChunkVersion to) const {
  const std::vector<ChunkVersion> known = versions(type);
  for (const ChunkVersion& version : {from, to}) {
    if (std::find(known.begin(), known.end(), version) == known.end()) return no_schema(type, version);
  }
  std::vector<ChunkVersion> way{from};
  while (way.back().major != to.major) {
    const int next = way.back().major < to.major ? way.back().major + 1 : way.back().major - 1;
    const auto step = std::find_if(steps_.begin(), steps_.end(), [&](const Step& candidate) {
      return candidate.type == type && candidate.from.major == way.back().major && candidate.to.major == next;
    });
    if (step == steps_.end()) {
      return Error(ErrorKind::kUnsupported,
                   fmt::format("no step leads {} from version {} to {}; this build cannot convert it", type,
                               to_string(way.back()), to_string(to)));
    }
    pass_minors(type, step->from, way);
    way.push_back(step->to);
  }
  pass_minors(type, to, way);
  return way;
}

}  // namespace vmsnap::compat
