// SPDX-License-Identifier: BSD-2-Clause
#include <CLI/CLI.hpp>

#include "base/exit_code.h"
#include "commands/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Runs a virtual machine on KVM, saves it into a self-describing snapshot and restores it.",
               "snapvmm"};
  app.set_version_flag("--version", std::string("snapvmm ") + VMSNAP_VERSION);
  app.require_subcommand(1);
  vmsnap::vmm::CommandAction action;
  vmsnap::vmm::add_run_command(app, action);
  vmsnap::vmm::add_restore_command(app, action);
  vmsnap::vmm::add_ctl_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? vmsnap::kExitOk : vmsnap::kExitUsage;
  }
  return action();
}
