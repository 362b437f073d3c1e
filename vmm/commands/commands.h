// SPDX-License-Identifier: BSD-2-Clause
// The commands of snapvmm: each adds its options to the program's command line and runs when it is chosen.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace vmsnap::vmm {

/// What a command does once its options are parsed; returns an exit status (base/exit_code.h).
using CommandAction = std::function<int()>;

/// Each adds one subcommand to `app` and sets `action` when that subcommand is on the command line.
/// `action` and `app` must outlive parsing.
void add_run_command(CLI::App& app, CommandAction& action);
void add_restore_command(CLI::App& app, CommandAction& action);
void add_ctl_command(CLI::App& app, CommandAction& action);

}  // namespace vmsnap::vmm
