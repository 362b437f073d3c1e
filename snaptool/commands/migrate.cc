// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "migrate/migrate_snapshot.h"
#include "migrate/report_text.h"
#include "progress.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

struct MigrateCommand {
  std::string from;
  std::string to;
  std::uint16_t to_level = 0;
  std::vector<std::string> allow_loss;
  bool dry_run = false;
  bool json = false;
};

struct Outcome {
  compat::MigratedSnapshot migrated;
  std::vector<std::string> unused;  // names of --allow-loss that allowed nothing
};

Result<Outcome> migrate(const MigrateCommand& command, Output& output) {
  if (command.to.empty() && !command.dry_run) {
    return Error(ErrorKind::kUsage, "OUT is missing; with --dry-run nothing is written");
  }
  compat::MigrateOptions options;
  options.to_level = command.to_level;
  VMSNAP_ASSIGN_OR_RETURN(options.allowed, compat::AllowedLosses::parse(command.allow_loss));
  VMSNAP_ASSIGN_OR_RETURN(const compat::Migrator migrator, compat::Migrator::create());
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader from, open_snapshot(command.from, ReadLevel::kMeta));
  Outcome outcome;
  if (command.dry_run) {
    VMSNAP_ASSIGN_OR_RETURN(outcome.migrated.report, plan_migration(from, migrator, options));
  } else {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, from.container().file().size());
    Progress progress(output, "migrating", size);
    options.pass = progress.pass();
    options.tool = "snaptool";
    options.tool_version = VMSNAP_VERSION;
    options.time = now();
    VMSNAP_ASSIGN_OR_RETURN(outcome.migrated, migrate_snapshot(from, command.to, migrator, options));
  }
  outcome.unused = options.allowed.unused(outcome.migrated.report);
  return outcome;
}

void print_json(const MigrateCommand& command, const Outcome& outcome, Output& output) {
  const compat::MigratedSnapshot& migrated = outcome.migrated;
  Json error = nullptr;
  if (migrated.report.refused()) {
    Error refusal = compat::refusal(migrated.report);
    error = to_json(refusal.in_file(command.from));
  }
  output.print_json(
      {{"file", command.from},
       {"migrated", migrated.written ? Json(command.to) : Json(nullptr)},
       {"uuid", migrated.written ? Json(vmsnap::to_string(migrated.written->uuid)) : Json(nullptr)},
       {"root", migrated.written ? Json(vmsnap::to_string(migrated.written->root)) : Json(nullptr)},
       {"report", compat::to_json(migrated.report)},
       {"left_out", migrated.left_out},
       {"unused_allow_loss", outcome.unused},
       {"error", std::move(error)}});
}

ExitCode run(const MigrateCommand& command, Output& output) {
  auto outcome = migrate(command, output);
  if (!outcome) {
    const bool is_usage = outcome.error().kind() == ErrorKind::kUsage;
    return fail(outcome.error(), command.json && !is_usage, output);
  }
  const compat::MigratedSnapshot& migrated = outcome->migrated;
  if (command.json) {
    print_json(command, *outcome, output);
  } else {
    output.print(compat::to_text(migrated.report));
  }
  if (migrated.report.refused()) {
    Error refusal = compat::refusal(migrated.report);
    output.complain(refusal.in_file(command.from).to_string());
    return exit_code(refusal.kind());
  }
  for (const std::string& name : outcome->unused) {
    output.complain(fmt::format("--allow-loss {} has allowed nothing; nothing of that name is lost", name));
  }
  for (const std::string& what : migrated.left_out) {
    output.complain(fmt::format("{}: left out {}", command.from, what));
  }
  if (!command.json) {
    output.print(
        migrated.written
            ? fmt::format("{}: wrote {}\n", printable(command.to), exact_size(migrated.written->file_size))
            : fmt::format("{}: can be migrated; nothing was written\n", printable(command.from)));
  }
  return migrated.left_out.empty() && outcome->unused.empty() ? kExitOk : kExitFindings;
}

}  // namespace

void add_migrate_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<MigrateCommand>();
  CLI::App* command = app.add_subcommand(
      "migrate", "Write a snapshot anew for releases of another level, and say what became of each field");
  command->add_option("IN", options->from, "The snapshot")->required()->type_name("");
  command
      ->add_option("OUT", options->to,
                   "The file to write; one of that name is replaced when the new one is complete")
      ->type_name("");
  command->add_option("--to-level", options->to_level, "The release level; see snaptool levels")
      ->required()
      ->check(CLI::Range(1, 65535))
      ->type_name("N");
  command
      ->add_option("--allow-loss", options->allow_loss,
                   "A field that may be lost, DEVICE.field, though the guest could notice; may be repeated")
      ->type_name("FIELD")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options->dry_run, "Only say what would become of each field");
  command->add_flag("--json", options->json, "Print JSON, for programs");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
