// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bhyve/convert/engine/chosen_layouts.h"
#include "bhyve/convert/engine/target_shape.h"
#include "bhyve/convert/from_bhyve/from_bhyve.h"
#include "bhyve/convert/to_bhyve/to_bhyve.h"
#include "bhyve/set/legacy_set.h"
#include "bhyve/verdict/verdict.h"
#include "commands/commands.h"
#include "legacy/legacy.h"
#include "progress.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

namespace bhyve = compat::bhyve;

struct ConvertCommand {
  std::string in;
  std::string out;
  std::string from_format;
  std::string to_format;
  std::vector<std::string> assume;
  std::vector<std::string> places;
  std::string shape;
  std::string vendor;
  bool repair = false;
  bool dry_run = false;
  bool fields = false;
  bool json = false;
};

struct Outcome {
  bhyve::ConversionReport report;
  std::optional<SnapshotSummary> written;  // of a conversion to this format
};

Result<Outcome> convert_from(const ConvertCommand& command, Output& output) {
  VMSNAP_ASSIGN_OR_RETURN(const bhyve::LegacySet set, bhyve::LegacySet::open(command.in));
  VMSNAP_ASSIGN_OR_RETURN(const bhyve::Assumptions assumptions, bhyve::Assumptions::parse(command.assume));
  VMSNAP_ASSIGN_OR_RETURN(const bhyve::Verdict verdict, bhyve::classify(set, assumptions));
  VMSNAP_ASSIGN_OR_RETURN(const bhyve::ChosenLayouts layouts, bhyve::choose_layouts(set, verdict));
  Progress progress(output, "converting", set.memory_size());
  bhyve::FromBhyveOptions options;
  VMSNAP_ASSIGN_OR_RETURN(options.places, bhyve::parse_places(command.places));
  options.pass = progress.pass();
  options.tool = "snaptool";
  options.tool_version = VMSNAP_VERSION;
  options.time = now();
  VMSNAP_ASSIGN_OR_RETURN(
      bhyve::FromBhyve converted,
      bhyve::from_bhyve(set, layouts, command.dry_run ? std::string() : command.out, options));
  return Outcome{std::move(converted.report), converted.written};
}

Result<Outcome> convert_to(const ConvertCommand& command, Output& output) {
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader from, open_snapshot(command.in, ReadLevel::kMeta));
  Progress progress(output, "converting", memory_size(from));
  bhyve::ToBhyveOptions options;
  if (!command.shape.empty()) {
    VMSNAP_ASSIGN_OR_RETURN(options.shape, bhyve::parse_shape(command.shape));
  }
  if (!command.vendor.empty()) {
    options.vendor = command.vendor == "intel" ? bhyve::Vendor::kIntel : bhyve::Vendor::kAmd;
  }
  options.repair = command.repair;
  options.pass = progress.pass();
  VMSNAP_ASSIGN_OR_RETURN(bhyve::ConversionReport report,
                          bhyve::to_bhyve(from, command.dry_run ? std::string() : command.out, options));
  return Outcome{std::move(report), std::nullopt};
}

Result<Outcome> convert(const ConvertCommand& command, Output& output) {
  if (command.from_format.empty() == command.to_format.empty()) {
    return Error(ErrorKind::kUsage, "one of --from bhyve and --to bhyve is needed");
  }
  if (command.out.empty() && !command.dry_run) {
    return Error(ErrorKind::kUsage, "OUT is missing; with --dry-run nothing is written");
  }
  const bool is_from = !command.from_format.empty();
  if (is_from && (!command.shape.empty() || !command.vendor.empty() || command.repair)) {
    return Error(ErrorKind::kUsage, "--shape, --vendor and --repair are for --to bhyve");
  }
  if (!is_from && (!command.assume.empty() || !command.places.empty())) {
    return Error(ErrorKind::kUsage, "--assume and --place are for --from bhyve");
  }
  return is_from ? convert_from(command, output) : convert_to(command, output);
}

void print_json(const ConvertCommand& command, const Outcome& outcome, Output& output) {
  output.print_json(
      {{"file", command.in},
       {"converted", command.dry_run ? Json(nullptr) : Json(command.out)},
       {"uuid", outcome.written ? Json(vmsnap::to_string(outcome.written->uuid)) : Json(nullptr)},
       {"root", outcome.written ? Json(vmsnap::to_string(outcome.written->root)) : Json(nullptr)},
       {"report", bhyve::to_json(outcome.report)},
       {"error", nullptr}});
}

void print_text(const ConvertCommand& command, const Outcome& outcome, Output& output) {
  output.print(bhyve::to_text(outcome.report, command.fields));
  if (command.dry_run) {
    output.print(fmt::format("{}: can be converted; nothing was written\n", printable(command.in)));
  } else if (outcome.written) {
    output.print(
        fmt::format("{}: wrote {}\n", printable(command.out), exact_size(outcome.written->file_size)));
  } else {
    output.print(fmt::format("{0}: wrote {0}, {0}.kern and {0}.meta\n", printable(command.out)));
  }
}

ExitCode run(const ConvertCommand& command, Output& output) {
  auto outcome = convert(command, output);
  if (!outcome) {
    const bool is_usage = outcome.error().kind() == ErrorKind::kUsage;
    return fail(outcome.error(), command.json && !is_usage, output);
  }
  if (command.json) {
    print_json(command, *outcome, output);
  } else {
    print_text(command, *outcome, output);
  }
  return outcome->report.has_losses() ? kExitFindings : kExitOk;
}

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ConvertCommand>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "Make a snapshot of bhyve one of this format, or the other way round, and report every field");
  command->add_option("IN", options->in, "The snapshot; of bhyve: BASE")->required()->type_name("");
  command
      ->add_option("OUT", options->out,
                   "The file to write, replaced when the new one is complete; for bhyve: a BASE of which no "
                   "file exists")
      ->type_name("");
  command->add_option("--from", options->from_format, "The other format that IN has")
      ->check(CLI::IsMember({"bhyve"}))
      ->type_name("bhyve");
  command->add_option("--to", options->to_format, "The other format that OUT gets")
      ->check(CLI::IsMember({"bhyve"}))
      ->type_name("bhyve");
  legacy::add_assume_option(*command, options->assume);
  command
      ->add_option("--place", options->places,
                   "Where on the bus a device sat whose name does not say it, as after -s of bhyve(8)")
      ->type_name("NAME=[BUS:]SLOT[:FUNCTION]")
      ->allow_extra_args(false);
  command
      ->add_option("--shape", options->shape,
                   "For which bhyve: " + bhyve::shapes_text() + "; else for that which saved")
      ->type_name("SHAPE");
  command->add_option("--vendor", options->vendor, "Whose CPUs the host must have; else that which saved")
      ->check(CLI::IsMember({"intel", "amd"}))
      ->type_name("intel|amd");
  command->add_flag("--repair", options->repair,
                    "Also in the shape that saved, write what bhyve accepts instead of what there was");
  command->add_flag("--dry-run", options->dry_run, "Only say what would become of each field");
  command->add_flag("--fields", options->fields, "Name the fields that are neither mapped nor recomputed");
  command->add_flag("--json", options->json, "Print JSON, for programs");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
