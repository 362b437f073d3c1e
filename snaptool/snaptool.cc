// SPDX-License-Identifier: BSD-2-Clause
#include "snaptool.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "format/constants.h"

namespace vmsnap::snaptool {
namespace {

int finish(int status, Output& output) {
  if (const Result<void> written = output.finish(); !written) {
    output.complain(written.error().to_string());
    return kExitFailure;
  }
  return status;
}

const CLI::App* find_command(const CLI::App& app, std::string_view name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

/// "snaptool info": what to ask for help about.
std::string used_command(const CLI::App& app) {
  const std::vector<CLI::App*> used = app.get_subcommands();
  return used.empty() ? app.get_name() : app.get_name() + ' ' + used.front()->get_name();
}

}  // namespace

int snaptool_main(std::span<const char* const> arguments, Output& output) {
  CLI::App app{"Shows, checks, rewrites and rescues snapshots of virtual machines.", "snaptool"};
  app.set_version_flag("--version",
                       fmt::format("snaptool {} (format {}.{})", VMSNAP_VERSION, kFormatMajor, kFormatMinor),
                       "Print the version of the program and of the format it reads");
  app.set_help_flag("-h,--help", "Print this help");
  app.require_subcommand(1);
  Action action;
  add_info_command(app, action);
  add_ls_command(app, action);
  add_show_command(app, action);
  add_check_command(app, action);
  add_repack_command(app, action);
  add_recover_command(app, action);
  add_diff_command(app, action);
  add_levels_command(app, action);
  add_explain_command(app, action);
  add_migrate_command(app, action);
  add_convert_command(app, action);

  if (arguments.size() <= 1) {
    output.complain("no command is given; try snaptool --help");
    return kExitUsage;
  }
  // CLI11 would only say that a command is missing.
  if (const std::string_view word = arguments[1];
      !word.starts_with('-') && find_command(app, word) == nullptr) {
    output.complain(fmt::format("there is no command \"{}\"; try snaptool --help", word));
    return kExitUsage;
  }
  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::CallForHelp&) {
    output.print(app.help());
    return finish(kExitOk, output);
  } catch (const CLI::CallForVersion& version) {
    output.print(std::string(version.what()) + '\n');
    return finish(kExitOk, output);
  } catch (const CLI::ParseError& error) {
    output.complain(fmt::format("{}; try {} --help", error.what(), used_command(app)));
    return kExitUsage;
  }
  return finish(action(output), output);
}

}  // namespace vmsnap::snaptool
