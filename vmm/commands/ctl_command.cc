// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
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
  std::string encoding;  // empty: what fits the place; so with compression
  std::string compression;
  std::optional<std::uint16_t> level;
};

Result<nlohmann::json> control(const CtlOptions& options) {
  const SaveOptions save{parse_encoding(options.encoding), parse_compression(options.compression),
                         options.level};
  VMSNAP_ASSIGN_OR_RETURN(const Request request, make_request(options.command, options.file, save));
  if (request.stream && ::isatty(STDOUT_FILENO) != 0) {
    return Error(
        ErrorKind::kUsage,
        "standard output is a terminal, which cannot take a snapshot; send it into a pipe or a file");
  }
  return call(options.socket, request, std::nullopt, STDOUT_FILENO);
}

int run_ctl(const CtlOptions& options) {
  const Result<nlohmann::json> result = control(options);
  if (!result) {
    fmt::print(stderr, "snapvmm: {}\n", result.error().to_string());
    return exit_code(result.error().kind());
  }
  // Standard output may just have been a snapshot.
  std::FILE* const place = options.file == "-" ? stderr : stdout;
  fmt::print(place, "{}\n", result->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
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
  command->add_option("FILE", options->file, "Where the snapshot goes; - for standard output");
  command
      ->add_option("--encoding", options->encoding,
                   "How RAM is laid out in the snapshot; default: flat in a file, extents on standard output")
      ->check(CLI::IsMember({"flat", "extents"}));
  command->add_option("--compress", options->compression, "Compress RAM, which takes the encoding extents")
      ->check(CLI::IsMember({"none", "lz4"}));
  command->add_option("--level", options->level,
                      "Save for this release level; default: that of the machine (see status)");
  command->callback([&action, options] { action = [options] { return run_ctl(*options); }; });
}

}  // namespace vmsnap::vmm
