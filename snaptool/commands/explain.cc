// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bhyve/convert/engine/chosen_layouts.h"
#include "bhyve/convert/from_bhyve/from_bhyve.h"
#include "commands/commands.h"
#include "legacy/legacy.h"
#include "monitors/takeover.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

struct ExplainOptions {
  CommonOptions common;
  std::string consumer;
  std::vector<std::string> assume;
};

/// A device or, of a legacy set, a chunk that cannot be read, and what becomes of it.
struct Answer {
  compat::Takeover takeover;
  std::vector<std::string> chunks;  // of a legacy set, from which the device's state comes
};

Result<std::vector<Answer>> explain_legacy(const ExplainOptions& options) {
  namespace bhyve = compat::bhyve;
  VMSNAP_ASSIGN_OR_RETURN(const auto assumptions, bhyve::Assumptions::parse(options.assume));
  VMSNAP_ASSIGN_OR_RETURN(const auto set, bhyve::LegacySet::open(options.common.file));
  VMSNAP_ASSIGN_OR_RETURN(const auto verdict, bhyve::classify(set, assumptions));
  VMSNAP_ASSIGN_OR_RETURN(const auto layouts, bhyve::choose_layouts(set, verdict));
  // What a conversion would make of it is what a monitor gets.
  bhyve::FromBhyveOptions as_if;
  as_if.tool = "snaptool";
  as_if.tool_version = VMSNAP_VERSION;
  VMSNAP_ASSIGN_OR_RETURN(auto converted, bhyve::from_bhyve(set, layouts, {}, as_if));
  std::vector<Answer> answers;
  for (compat::Takeover& one : compat::judge_takeover(converted.devices, layouts.vcpus)) {
    std::vector<std::string> chunks;
    for (const bhyve::ChunkReport& chunk : converted.report.chunks) {
      if (std::find(chunk.devices.begin(), chunk.devices.end(), one.device) != chunk.devices.end())
        chunks.push_back(chunk.chunk);
    }
    answers.push_back({std::move(one), std::move(chunks)});
  }
  for (const bhyve::ClassifiedEntry& one : verdict.entries) {
    if (one.layout == nullptr && one.entry->size != 0 && !one.is_kernel)
      answers.push_back({{{}, {}, false, label_of(*one.entry) + ": " + one.why_not}, {label_of(*one.entry)}});
  }
  return answers;
}

Result<std::vector<Answer>> explain_snapshot(const ExplainOptions& options) {
  VMSNAP_RETURN_IF_ERROR(legacy::refuse_assume(options.assume));
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader reader, open_snapshot(options.common.file));
  std::vector<Answer> answers;
  for (compat::Takeover& one :
       compat::judge_takeover(reader.manifest().devices, reader.manifest().vcpu_count))
    answers.push_back({std::move(one), {}});
  return answers;
}

void print_text(const ExplainOptions& options, const std::vector<Answer>& answers, std::size_t refused,
                Output& output) {
  for (const Answer& answer : answers) {
    const compat::Takeover& one = answer.takeover;
    output.print(fmt::format("  {:<3}  {:<24}  {:<14}  {}\n", one.can ? "yes" : "no",
                             one.device.empty() ? "-" : printable(one.device),
                             one.type.empty() ? "-" : printable(one.type), printable(one.why)));
  }
  const std::string file = printable(options.common.file);
  if (refused == 0) {
    output.print(fmt::format(
        "{}: snapvmm can take over the whole machine, {}; whether host and disks are what the guest "
        "needs, the restore says\n",
        file, count_of(answers.size(), "device")));
  } else {
    output.print(fmt::format("{}: snapvmm cannot go on with this guest: {} speak{} against it\n", file,
                             count_of(refused, "thing"), refused == 1 ? "s" : ""));
  }
}

ExitCode run(const ExplainOptions& options, Output& output) {
  const auto answers =
      compat::bhyve::is_legacy_set(options.common.file) ? explain_legacy(options) : explain_snapshot(options);
  if (!answers) return fail(answers.error(), options.common.json, output);
  const auto refused = static_cast<std::size_t>(std::count_if(
      answers->begin(), answers->end(), [](const Answer& answer) { return !answer.takeover.can; }));
  if (options.common.json) {
    Json devices = Json::array();
    for (const Answer& answer : *answers) {
      const compat::Takeover& one = answer.takeover;
      devices.push_back({{"device", text_or_null(one.device)},
                         {"type", text_or_null(one.type)},
                         {"can", one.can},
                         {"why", one.why},
                         {"chunks", answer.chunks}});
    }
    output.print_json({{"file", options.common.file},
                       {"for", options.consumer},
                       {"can", refused == 0},
                       {"devices", std::move(devices)}});
  } else {
    print_text(options, *answers, refused, output);
  }
  return refused == 0 ? kExitOk : kExitUnsupported;
}

}  // namespace

void add_explain_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand(
      "explain", "Say which devices of a snapshot a monitor can take over, which not, and why");
  add_common_options(*command, options->common);
  command->add_option("--for", options->consumer, "The monitor")
      ->check(CLI::IsMember({"snapvmm"}))
      ->required()
      ->type_name("PROGRAM");
  legacy::add_assume_option(*command, options->assume);
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
