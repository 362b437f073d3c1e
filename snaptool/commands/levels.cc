// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "versions/versions.h"

namespace vmsnap::snaptool {
namespace {

using compat::LevelChunk;
using compat::ReleaseLevel;

/// "1.1 +transmit-fifo"
std::string describe(const LevelChunk* chunk) {
  if (chunk == nullptr) return "-";
  std::string text = to_string(chunk->version);
  for (const std::string& feature : chunk->features) text += " +" + feature;
  return text;
}

/// In rising order.
std::vector<std::string> types_without_level(const std::vector<ReleaseLevel>& levels) {
  std::set<std::string> names;
  for (const ChunkType& type : compat::frozen_device_chunk_types()) {
    if (levels.back().find(type.name) == nullptr) names.emplace(type.name);
  }
  return {names.begin(), names.end()};
}

void print_text(const std::vector<ReleaseLevel>& levels, Output& output) {
  std::string head = fmt::format("{:<16}", "level");
  for (const ReleaseLevel& level : levels) head += fmt::format("{:<24}", level.number);
  const auto print = [&](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    output.print(line + '\n');
  };
  print(head);
  // A type, once there, never goes: the highest level has all that any level has.
  for (const LevelChunk& newest : levels.back().chunks) {
    std::string line = fmt::format("{:<16}", newest.name);
    for (const ReleaseLevel& level : levels) line += fmt::format("{:<24}", describe(level.find(newest.name)));
    print(std::move(line));
  }
  std::string features = fmt::format("{:<16}", "format");
  for (const ReleaseLevel& level : levels) {
    features += fmt::format("{:<24}", fmt::join(level.format_features, " "));
  }
  print(std::move(features));
  std::string others;
  for (const std::string& type : types_without_level(levels)) others += ' ' + type;
  if (!others.empty())
    output.print(fmt::format("in no level, since snapvmm does not emulate them:{}\n", others));
  output.print(fmt::format("this build writes level {} and reads all of them\n", compat::current_level()));
}

Json to_json(const ReleaseLevel& level) {
  Json chunks = Json::object();
  for (const LevelChunk& chunk : level.chunks) {
    chunks[chunk.name] = {{"version", to_string(chunk.version)}, {"features", chunk.features}};
  }
  return {{"level", level.number}, {"format_features", level.format_features}, {"chunks", std::move(chunks)}};
}

ExitCode run(bool json, Output& output) {
  const std::vector<ReleaseLevel> levels = compat::release_levels();
  if (!json) {
    print_text(levels, output);
    return kExitOk;
  }
  Json all = Json::array();
  for (const ReleaseLevel& level : levels) all.push_back(to_json(level));
  Json types = Json::object();
  for (const ChunkType& type : compat::frozen_device_chunk_types()) {
    types[std::string(type.name)].push_back(to_string(type.version));
  }
  output.print_json({{"current", compat::current_level()},
                     {"levels", std::move(all)},
                     {"without_level", types_without_level(levels)},
                     {"versions", std::move(types)}});
  return kExitOk;
}

}  // namespace

void add_levels_command(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("levels", "List the release levels and the versions of chunks that they stand for");
  command->add_flag("--json", *json, "Print JSON, for programs");
  command->callback([&action, json] { action = [json](Output& output) { return run(*json, output); }; });
}

}  // namespace vmsnap::snaptool
