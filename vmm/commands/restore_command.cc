// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/stream.h"
#include "commands/commands.h"
#include "commands/session.h"
#include "levels/level_converter.h"
#include "machine/machine.h"
#include "machine/restore.h"

namespace vmsnap::vmm {
namespace {

constexpr const char* kStandardInput = "standard input";

struct RestoreOptions {
  std::string file;
  std::vector<std::string> slots;
  std::string clock = "freeze";
  std::string memory;  // empty: restore_memory() chooses; so with verify
  std::string verify;
  std::string control;
  std::optional<std::uint16_t> level;
  bool paused = false;
  bool allow_recovered = false;
};

Result<std::map<std::string, std::string>> parse_slots(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> slots;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      return Error(ErrorKind::kUsage, "--slot takes NAME=PATH, e.g. --slot disk0=/images/disk.img");
    }
    const auto path = std::filesystem::absolute(text.substr(equals + 1)).lexically_normal();
    if (!slots.emplace(text.substr(0, equals), path.string()).second) {
      return Error(ErrorKind::kUsage,
                   "--slot names " + text.substr(0, equals) + " twice; give each slot once");
    }
  }
  return slots;
}

/// The value of `words` that `word` stands for; absent when `word` is none of them.
template <typename T>
std::optional<T> find_word(const std::string& word, std::initializer_list<std::pair<const char*, T>> words) {
  for (const auto& [name, value] : words) {
    if (word == name) return value;
  }
  return std::nullopt;
}

/// Reads all of standard input, and leaves nothing of it to the guest's console.
Result<StreamedSnapshot> read_standard_input(const MemoryRequest& memory) {
  if (memory.engine.value_or(MemoryOrigin::kEager) != MemoryOrigin::kEager ||
      memory.verify.value_or(RamVerify::kFull) != RamVerify::kFull) {
    return Error(ErrorKind::kUsage,
                 "a snapshot on standard input is read and verified in full before the guest runs; leave "
                 "--memory and --verify out");
  }
  if (::isatty(STDIN_FILENO) != 0) {
    return Error(ErrorKind::kUsage,
                 "standard input is a terminal, which has no snapshot; give a file, or a pipe with one");
  }
  UniqueFd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!input || !nothing || ::dup2(nothing.get(), STDIN_FILENO) < 0) {
    return io_error("cannot take over standard input", errno);
  }
  StreamSource source(std::move(input), kStandardInput);
  PassOptions pass;
  pass.threads = std::max(1u, std::thread::hardware_concurrency());
  // restore_machine() decides about what is missing.
  return read_snapshot_stream(source, pass, true);
}

Result<MachineEnd> restore(const RestoreOptions& options) {
  RestoreRequest request;
  request.file = options.file;
  request.allow_recovered = options.allow_recovered;
  request.level = options.level;
  const std::unique_ptr<StateConverter> converter = make_state_converter();
  VMSNAP_ASSIGN_OR_RETURN(request.slots, parse_slots(options.slots));
  VMSNAP_ASSIGN_OR_RETURN(request.clock, parse_time_policy(options.clock));
  request.memory.engine = find_word<MemoryOrigin>(
      options.memory,
      {{"map", MemoryOrigin::kMapped}, {"eager", MemoryOrigin::kEager}, {"lazy", MemoryOrigin::kLazy}});
  request.memory.verify = find_word<RamVerify>(
      options.verify, {{"none", RamVerify::kNone}, {"lazy", RamVerify::kLazy}, {"full", RamVerify::kFull}});
  std::optional<StreamedSnapshot> streamed;
  if (options.file == "-") {
    request.file = kStandardInput;
    // Before the session takes signals over: until the machine is there, they end the process as ever.
    VMSNAP_ASSIGN_OR_RETURN(streamed, read_standard_input(request.memory));
  }
  VMSNAP_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, Session::open());
  request.memory.on_error = [&session](const Error& error) { session->abandon(error); };
  VMSNAP_ASSIGN_OR_RETURN(const std::unique_ptr<Machine> machine,
                          streamed
                              ? restore_machine(std::move(*streamed), request, session->console(), *converter)
                              : restore_machine(request, session->console(), *converter));
  return session->run(*machine, options.control,
                      options.paused ? Session::Start::kPaused : Session::Start::kRunning);
}

}  // namespace

void add_restore_command(CLI::App& app, CommandAction& action) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command = app.add_subcommand("restore", "Go on with a machine from its snapshot");
  command->add_option("FILE", options->file, "The snapshot, which is never written to; - for standard input")
      ->required();
  command->add_option("--slot", options->slots, "A host resource that has moved, NAME=PATH; may be repeated");
  command
      ->add_option("--clock", options->clock,
                   "The guest's clocks: go on where they stopped, or move on by the time since")
      ->check(CLI::IsMember({"freeze", "advance"}))
      ->capture_default_str();
  command
      ->add_option(
          "--memory", options->memory,
          "How RAM comes out of the file: mapped, read before the guest runs, or read while it runs; "
          "default: map where the file allows it, else eager")
      ->check(CLI::IsMember({"map", "eager", "lazy"}));
  command
      ->add_option(
          "--verify", options->verify,
          "Check the contents of RAM never, each part before the guest sees it (with --memory lazy), "
          "or all before the guest runs; default: lazy with --memory lazy, else full")
      ->check(CLI::IsMember({"none", "lazy", "full"}));
  command->add_flag("--allow-recovered", options->allow_recovered,
                    "Restore what was recovered from a damaged file although memory is missing");
  command->add_flag("--paused", options->paused, "Do not run until resumed over the control socket");
  command->add_option("--level", options->level,
                      "Release level of the machine from now on; default: that of the snapshot");
  command->add_option("--control", options->control, "Make the control socket here");
  command->callback([&action, options] { action = [options] { return finish(restore(*options)); }; });
}

}  // namespace vmsnap::vmm
