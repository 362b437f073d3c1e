// SPDX-License-Identifier: BSD-2-Clause
// The commands of snaptool: each adds its options to the program's command line and runs when it is chosen.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

#include "base/exit_code.h"
#include "output.h"

namespace vmsnap::snaptool {

/// What a command does once its options are parsed.
using Action = std::function<ExitCode(Output&)>;

/// Each adds one subcommand to `app` and sets `action` when that subcommand is on the command line.
/// `action` and `app` must outlive parsing.
void add_info_command(CLI::App& app, Action& action);
void add_ls_command(CLI::App& app, Action& action);
void add_show_command(CLI::App& app, Action& action);
void add_check_command(CLI::App& app, Action& action);
void add_repack_command(CLI::App& app, Action& action);
void add_recover_command(CLI::App& app, Action& action);
void add_diff_command(CLI::App& app, Action& action);
void add_levels_command(CLI::App& app, Action& action);
void add_explain_command(CLI::App& app, Action& action);
void add_migrate_command(CLI::App& app, Action& action);
void add_convert_command(CLI::App& app, Action& action);

/// Options of every command.
struct CommonOptions {
  std::string file;
  bool json = false;
};

/// Adds FILE and --json to a command.
inline void add_common_options(CLI::App& command, CommonOptions& options) {
  command.add_option("FILE", options.file, "The snapshot; it is never written to")->required()->type_name("");
  command.add_flag("--json", options.json, "Print JSON, for programs");
}

}  // namespace vmsnap::snaptool
