// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "control/client.h"

namespace vmsnap::vmm {
namespace {

struct CtlOptions {
  std::string socket;
  std::string command;
  std::string file;
};

Result<nlohmann::json> control(const CtlOptions& options) {
  VMSNAP_ASSIGN_OR_RETURN(const Request request, make_request(options.command, options.file));
  return call(options.socket, request);
}

int run_ctl(const CtlOptions& options) {
  const Result<nlohmann::json> result = control(options);
  if (!result) {
    fmt::print(stderr, "snapvmm: {}\n", result.error().to_string());
    return exit_code(result.error().kind());
  }
  fmt::print("{}\n", result->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return kExitOk;
}

}  // namespace

void add_ctl_command(CLI::App& app, CommandAction& action) {
  auto options = std::make_shared<CtlOptions>();
  CLI::App* command = app.add_subcommand("ctl", "Control a running machine");
  command->add_option("SOCKET", options->socket, "The machine's control socket")->required();
  command
      ->add_option("COMMAND", options->command, "status, pause, resume, checkpoint FILE, suspend FILE, quit")
      ->required();
  command->add_option("FILE", options->file, "Where the snapshot goes");
  command->callback([&action, options] { action = [options] { return run_ctl(*options); }; });
}

}  // namespace vmsnap::vmm
