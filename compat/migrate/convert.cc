// SPDX-License-Identifier: BSD-2-Clause
#include "migrate/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>

#include "migrate/carry.h"
#include "steps/steps.h"

namespace vmsnap::compat {
namespace {

// Of one machine. Parts of a state may be shared, so the size of the file bounds neither.
constexpr std::size_t kMaxOutcomes = std::size_t{1} << 20;
constexpr std::size_t kMaxGrowth = std::size_t{256} << 20;  // bytes

/// What the conversion of one machine may still spend.
struct Budget {
  std::size_t outcomes = kMaxOutcomes;
  std::size_t bytes = kMaxGrowth;

  [[nodiscard]] Result<void> spend(std::size_t used_outcomes, std::size_t used_bytes) {
    if (used_outcomes > outcomes || used_bytes > bytes) {
      return Error(ErrorKind::kLimitExceeded,
                   "the states of the machine unfold to more than any real machine has; parts of them refer "
                   "to each other too often");
    }
    outcomes -= used_outcomes;
    bytes -= used_bytes;
    return {};
  }
};

template <typename... Args>
Error unsupported(std::string_view field, fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::kUnsupported, fmt::format(format, std::forward<Args>(args)...)).in_field(field);
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Outcome feature_lost(const std::string& feature, ChunkVersion version) {
  return {
      OutcomeKind::kLost,
      "features." + feature,
      "in use",
      fmt::format("version {} is to do without the feature, and no step says what to do", to_string(version)),
      true,
      false,
      version,
      version};
}

}  // namespace

Result<Migrator> Migrator::create() {
  return create(frozen_device_chunk_types(), release_levels(), registered_steps());
}

Result<Migrator> Migrator::create(const std::vector<ChunkType>& types, std::vector<ReleaseLevel> levels,
                                  StepRegistry registry) {
  std::vector<Known> known;
  for (const ChunkType& type : types) {
    auto model = reflect::SchemaModel::load(type.schema);
    if (!model) {
      return Error(ErrorKind::kInternal,
                   fmt::format("the frozen schema of {} {} cannot be used: {}", type.name,
                               to_string(type.version), model.error().message()));
    }
    known.push_back({type, std::move(*model)});
  }
  VMSNAP_ASSIGN_OR_RETURN(Planner planner, Planner::create(types, registry.steps));
  return Migrator(std::move(known), std::move(levels), std::move(registry), std::move(planner));
}

Result<const ReleaseLevel*> Migrator::level(std::uint16_t number) const& {
  for (const ReleaseLevel& level : levels_) {
    if (level.number == number) return &level;
  }
  return Error(ErrorKind::kUsage, fmt::format("there is no level {}; this build knows the levels {} to {}",
                                              number, levels_.front().number, levels_.back().number));
}

const Migrator::Known* Migrator::find_known(std::string_view type, ChunkVersion version) const {
  const auto found = std::find_if(known_.begin(), known_.end(), [&](const Known& candidate) {
    return candidate.type.name == type && candidate.type.version == version;
  });
  return found == known_.end() ? nullptr : &*found;
}

const ChunkType* Migrator::find(std::string_view type, ChunkVersion version) const& {
  const Known* known = find_known(type, version);
  return known == nullptr ? nullptr : &known->type;
}

Result<ChunkVersion> Migrator::readable_version(const DeviceEntry& device) const {
  const std::vector<ChunkVersion> versions = planner_.versions(device.type);
  if (versions.empty()) {
    return unsupported("type", "this build does not know the device type {}; use a newer release",
                       device.type);
  }
  std::optional<ChunkVersion> newest;
  for (const ChunkVersion& version : versions) {
    if (version.major == device.version.major && version <= device.version) newest = version;
  }
  if (!newest) {
    return unsupported("version", "this build does not know version {} of {}; use a newer release",
                       to_string(device.version), device.type);
  }
  if (device.readable_since > *newest) {
    return unsupported(
        "readable_since",
        "the state needs a reader of {} {} or newer, and this build knows {}; use a newer release",
        device.type, to_string(device.readable_since), to_string(*newest));
  }
  return *newest;
}

Result<void> Migrator::check_features(const DeviceEntry& device) const {
  for (const std::string& feature : device.features) {
    const bool in_level = std::any_of(levels_.begin(), levels_.end(), [&](const ReleaseLevel& level) {
      const LevelChunk* chunk = level.find(device.type);
      return chunk != nullptr && contains(chunk->features, feature);
    });
    if (!in_level) {
      return unsupported("features",
                         "the state uses the feature {} of {}, which this build does not know; use "
                         "a newer release",
                         feature, device.type);
    }
  }
  return {};
}

Result<Conversion> Migrator::convert(const DeviceEntry& device, ByteView state, const LevelChunk& target,
                                     const AllowedLosses& allowed) const {
  auto conversion = convert_checked(device, state, target, allowed);
  if (!conversion) return std::move(conversion).error().in_device(device.path);
  return conversion;
}

Result<Conversion> Migrator::convert_checked(const DeviceEntry& device, ByteView state,
                                             const LevelChunk& target, const AllowedLosses& allowed) const {
  VMSNAP_ASSIGN_OR_RETURN(const ChunkVersion from, readable_version(device));
  VMSNAP_RETURN_IF_ERROR(check_features(device));
  VMSNAP_ASSIGN_OR_RETURN(const std::vector<ChunkVersion> way,
                          planner_.plan(device.type, from, target.version));
  Conversion conversion;
  DeviceReport& report = conversion.report;
  report.device = device.path;
  report.type = device.type;
  report.path = way;

  ConvertedState converted{device, {}};
  const bool knows_features =
      std::all_of(device.features.begin(), device.features.end(),
                  [&](const std::string& feature) { return contains(target.features, feature); });
  if (device.version == target.version && knows_features) {
    converted.state.assign(state.begin(), state.end());
    conversion.converted = std::move(converted);
    return conversion;
  }

  VMSNAP_ASSIGN_OR_RETURN(StateTree tree, StateTree::decode(find_known(device.type, from)->model, state));
  const bool newer = device.version != from;
  if (newer) report.path.insert(report.path.begin(), device.version);
  for (const UnknownPart& part : tree.unknown()) {
    // A newer writer that let readers of this version in has said that they may ignore what they do not know.
    report.outcomes.push_back(
        {OutcomeKind::kLost, part.path.empty() ? "$unknown_fields" : part.path + ".$unknown_fields",
         fmt::format("{}", part.count),
         newer ? fmt::format("version {} wrote it and lets readers of {} ignore it",
                             to_string(device.version), to_string(device.readable_since))
               : fmt::format("version {} has no such field, though the state claims to be of it",
                             to_string(from)),
         !newer, false, device.version, from});
  }
  converted.device.version = from;
  for (std::size_t i = 1; i < way.size(); ++i) {
    VMSNAP_ASSIGN_OR_RETURN(tree, step(std::move(tree), converted.device, way[i], report));
  }
  leave_features(tree, converted.device, target, report);
  for (Outcome& outcome : report.outcomes) {
    outcome.allowed = outcome.kind == OutcomeKind::kLost && allowed.covers(device.path, outcome.field);
  }
  if (report.refused()) return conversion;
  converted.device.version = target.version;
  converted.device.readable_since = readable_since(tree, device, target.version);
  VMSNAP_ASSIGN_OR_RETURN(converted.state, tree.encode());
  conversion.converted = std::move(converted);
  return conversion;
}

Result<StateTree> Migrator::step(StateTree source, DeviceEntry& device, ChunkVersion to,
                                 DeviceReport& report) const {
  const ChunkVersion from = device.version;
  std::vector<AppendedField> declared;
  for (const AppendedField& field : registry_.appended_fields) {
    if (field.type == device.type) declared.push_back(field);
  }
  StateTree target(find_known(device.type, to)->model);
  reopen(source);
  carry(source, target);
  StepContext context(source, target, device.features);
  if (const Step* known = planner_.find(device.type, from, to)) {
    VMSNAP_RETURN_IF_ERROR(known->function(context));
  }
  VMSNAP_ASSIGN_OR_RETURN(std::vector<Outcome> outcomes,
                          outcomes_of(source, target, context, from, to, declared));
  report.outcomes.insert(report.outcomes.end(), std::make_move_iterator(outcomes.begin()),
                         std::make_move_iterator(outcomes.end()));
  // With the fields that carry a feature, its name goes.
  for (const AppendedField& field : declared) {
    const bool left_behind = field.since.major == to.major && field.since > to && field.since <= from;
    if (left_behind && !field.feature.empty()) context.drop_feature(field.feature);
  }
  device.version = to;
  return target;
}

void Migrator::leave_features(StateTree& tree, DeviceEntry& device, const LevelChunk& target,
                              DeviceReport& report) const {
  const std::vector<std::string> in_use = device.features;
  for (const std::string& feature : in_use) {
    if (contains(target.features, feature)) continue;
    bool has_fields = false;
    for (const AppendedField& field : registry_.appended_fields) {
      if (field.type != device.type || field.feature != feature ||
          field.since.major != device.version.major) {
        continue;
      }
      has_fields = true;
      std::vector<std::string> to_clear;
      for_each_match(
          tree, field.path, [&](const std::string& path, const reflect::Field& found, const Value& value) {
            if (is_default(found, value)) return;
            report.outcomes.push_back({OutcomeKind::kLost, path, render(tree.model(), found, value),
                                       std::string(field.consequence), field.loss == Loss::kNoticeable, false,
                                       device.version, device.version});
            to_clear.push_back(path);
          });
      for (const std::string& path : to_clear) {
        // An appended field is never a part of a struct, so it can be absent.
        const Result<void> cleared = tree.clear(path);
        assert(cleared);
        static_cast<void>(cleared);
      }
    }
    if (!has_fields) report.outcomes.push_back(feature_lost(feature, target.version));
    std::erase(device.features, feature);
  }
}

ChunkVersion Migrator::readable_since(const StateTree& tree, const DeviceEntry& before,
                                      ChunkVersion version) const {
  const ChunkVersion oldest{version.major, 0};
  if (before.version.major == version.major) return std::clamp(before.readable_since, oldest, version);
  // Down to the oldest minor that has a place for all there is.
  ChunkVersion since = version;
  std::vector<ChunkVersion> minors = planner_.versions(before.type);
  std::erase_if(minors, [&](const ChunkVersion& minor) { return minor < oldest || minor >= version; });
  while (!minors.empty()) {
    const Known& newer = *find_known(before.type, since);
    const Known& older = *find_known(before.type, minors.back());
    bool in_use = false;
    for (const std::string& path : appended_fields(older.model, newer.model)) {
      for_each_match(tree, path, [&](const std::string&, const reflect::Field& field, const Value& value) {
        in_use = in_use || !is_default(field, value);
      });
    }
    if (in_use) break;
    since = minors.back();
    minors.pop_back();
  }
  return since;
}

Result<LevelConversion> Migrator::convert_to_level(const Manifest& manifest, std::span<const ByteView> states,
                                                   std::uint16_t level_number,
                                                   const AllowedLosses& allowed) const {
  VMSNAP_ASSIGN_OR_RETURN(const ReleaseLevel* target, level(level_number));
  if (states.size() != manifest.devices.size()) {
    return Error(ErrorKind::kInternal,
                 fmt::format("{} states were given for {} devices", states.size(), manifest.devices.size()));
  }
  LevelConversion conversion;
  conversion.report.from_level = manifest.release_level;
  conversion.report.to_level = level_number;
  ConvertedMachine machine{manifest, {}};
  Budget budget;
  for (const ByteView state : states) budget.bytes += state.size();
  machine.manifest.release_level = level_number;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const DeviceEntry& device = manifest.devices[i];
    const LevelChunk* chunk = target->find(device.type);
    if (chunk == nullptr) {
      const bool in_a_level = std::any_of(levels_.begin(), levels_.end(), [&](const ReleaseLevel& other) {
        return other.find(device.type) != nullptr;
      });
      const std::string_view why = planner_.versions(device.type).empty()
                                       ? "nor does this build: use a newer release"
                                   : in_a_level ? "it came later"
                                                : "nor does any other: snapvmm does not emulate it";
      return std::move(
          unsupported("type", "level {} knows no device of type {}; {}", level_number, device.type, why)
              .in_device(device.path));
    }
    VMSNAP_ASSIGN_OR_RETURN(Conversion one, convert(device, states[i], *chunk, allowed));
    VMSNAP_RETURN_IF_ERROR(
        budget.spend(one.report.outcomes.size(), one.converted ? one.converted->state.size() : 0));
    conversion.report.devices.push_back(std::move(one.report));
    if (!one.converted) continue;
    machine.manifest.devices[i] = std::move(one.converted->device);
    machine.states.push_back(std::move(one.converted->state));
  }
  if (!conversion.report.refused()) conversion.converted = std::move(machine);
  return conversion;
}

}  // namespace vmsnap::compat
