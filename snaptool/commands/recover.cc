// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/recover.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "commands/commands.h"
#include "progress.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

struct RecoverOptions {
  std::string from;
  std::string to;
  bool json = false;
};

/// True when both names lead to one file.
bool is_same_file(const std::string& a, const std::string& b) {
  struct stat one {};
  struct stat other {};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<RecoveryReport> recover(const RecoverOptions& options, Output& output) {
  VMSNAP_RETURN_IF_ERROR(check_path(options.from));
  if (is_same_file(options.from, options.to)) {
    return Error(ErrorKind::kUsage,
                 "the damaged file is never written to; give the recovered one another name")
        .in_file(options.to);
  }
  VMSNAP_ASSIGN_OR_RETURN(const File file, File::open_for_reading(options.from));
  Progress progress(output, "recovering", 0);
  auto report = recover_snapshot(file, options.to, progress.pass());
  if (!report) return std::move(std::move(report).error().in_file(options.from));
  return report;
}

std::string_view kind_name(Loss::Kind kind) {
  switch (kind) {
    case Loss::Kind::kDevice:
      return "device";
    case Loss::Kind::kMemory:
      return "memory";
    case Loss::Kind::kChunk:
      break;
  }
  return "chunk";
}

Json to_json(const Loss& loss) {
  const bool is_memory = loss.kind == Loss::Kind::kMemory;
  return {
      {"kind", kind_name(loss.kind)},
      {"reason", loss.reason},
      {"path", text_or_null(loss.path)},
      {"type", text_or_null(loss.type)},
      {"instance", loss.type.empty() ? Json(nullptr) : Json(loss.instance)},
      {"segment", is_memory ? Json(loss.segment) : Json(nullptr)},
      {"offset", is_memory ? wide(loss.offset) : Json(nullptr)},
      {"size", is_memory ? wide(loss.size) : Json(nullptr)},
  };
}

void print_json(const RecoverOptions& options, const RecoveryReport& report, Output& output) {
  Json losses = Json::array();
  for (const Loss& loss : report.losses) losses.push_back(to_json(loss));
  output.print_json({{"file", options.from},
                     {"recovered", options.to},
                     {"uuid", vmsnap::to_string(report.written.uuid)},
                     {"root", vmsnap::to_string(report.written.root)},
                     {"file_size", wide(report.written.file_size)},
                     {"devices", report.devices},
                     {"devices_recovered", report.devices_recovered},
                     {"memory_size", wide(report.written.ram_bytes)},
                     {"memory_recovered", wide(report.memory_recovered)},
                     {"losses", std::move(losses)}});
}

void print_text(const RecoverOptions& options, const RecoveryReport& report, Output& output) {
  const std::string file = printable(options.from);
  output.print(fmt::format("{}: recovered {} of {} and {} of {} of memory\n", file, report.devices_recovered,
                           count_of(report.devices, "device"), human_size(report.memory_recovered),
                           human_size(report.written.ram_bytes)));
  for (const Loss& loss : report.losses) {
    output.print(fmt::format("{}: missing: {}\n", file, printable(to_string(loss, report.memory_map))));
  }
  if (report.losses.empty()) {
    output.print(fmt::format("{}: nothing is missing from {}\n", file, printable(options.to)));
  } else {
    output.print(fmt::format("{}: {} lacks {}; a restore refuses it unless told otherwise\n", file,
                             printable(options.to), count_of(report.losses.size(), "thing")));
  }
}

ExitCode run(const RecoverOptions& options, Output& output) {
  const Result<RecoveryReport> report = recover(options, output);
  // Of a wrong command line, the sentence is all there is.
  if (!report)
    return fail(report.error(), options.json && report.error().kind() != ErrorKind::kUsage, output);
  if (options.json) {
    print_json(options, *report, output);
  } else {
    print_text(options, *report, output);
  }
  return report->losses.empty() ? kExitOk : kExitFindings;
}

}  // namespace

void add_recover_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<RecoverOptions>();
  CLI::App* command = app.add_subcommand(
      "recover", "Write a new file from what still verifies of a damaged one, and say what is missing");
  command->add_option("IN", options->from, "The damaged snapshot; it is never written to")
      ->required()
      ->type_name("");
  command->add_option("OUT", options->to, "The file to write; one of that name is replaced")
      ->required()
      ->type_name("");
  command->add_flag("--json", options->json, "Print JSON, for programs");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
