// SPDX-License-Identifier: BSD-2-Clause
#include "commands/session.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/exit_code.h"
#include "base/unique_fd.h"
#include "control/server.h"
#include "machine/command_handler.h"
#include "machine/console_output.h"
#include "machine/terminal.h"

namespace vmsnap::vmm {
namespace {

/// How long the end of a machine waits for a slow reader of its last output.
constexpr std::chrono::milliseconds kLastOutputPatience{1000};

/// Turns the signals that ask a process to end into the end of the machine.
class SignalWatch {
 public:
  SignalWatch(int fd, Machine& machine)
      : thread_([fd, &machine] {
          signalfd_siginfo info{};
          while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo == SIGUSR2) return;
            machine.end().post(EndReason::kQuit);
          }
        }) {}
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch() {
    ::pthread_kill(thread_.native_handle(), SIGUSR2);
    thread_.join();
  }

 private:
  std::thread thread_;
};

class ForegroundSession : public Session {
 public:
  ForegroundSession(UniqueFd signals, std::unique_ptr<ConsoleOutput> console)
      : signals_(std::move(signals)), settings_(TerminalSettings::current()), console_(std::move(console)) {}

  CharacterSink& console() override { return *console_; }

  Result<MachineEnd> run(Machine& machine, const std::string& control, Start start) override {
    MachineCommands commands(machine);
    std::unique_ptr<ControlServer> server;
    if (!control.empty()) {
      VMSNAP_ASSIGN_OR_RETURN(server, ControlServer::start(control, commands));
    }
    const SignalWatch signal_watch(signals_.get(), machine);
    VMSNAP_ASSIGN_OR_RETURN(const std::unique_ptr<ConsoleOutput::Watch> watch,
                            ConsoleOutput::Watch::start(*console_, [&machine] { machine.send_console(); }));
    VMSNAP_ASSIGN_OR_RETURN(
        const std::unique_ptr<Terminal> terminal,
        Terminal::start([&machine](ByteView bytes) { return machine.receive_console(bytes); },
                        [&machine] { machine.end().post(EndReason::kQuit); }));
    VMSNAP_RETURN_IF_ERROR(machine.start());
    if (start == Start::kRunning) VMSNAP_RETURN_IF_ERROR(machine.resume());
    MachineEnd end = machine.end().wait();
    machine.stop();
    // The snapshot of a suspended machine has what its console has not taken.
    if (end.reason != EndReason::kSuspended) machine.flush_console(kLastOutputPatience);
    return end;
  }

  [[noreturn]] void abandon(const Error& error) override {
    settings_.put_back();
    std::_Exit(finish(error));
  }

 private:
  UniqueFd signals_;
  const TerminalSettings settings_;
  const std::unique_ptr<ConsoleOutput> console_;
};

}  // namespace

Result<std::unique_ptr<Session>> Session::open() {
  // Blocked before any thread is made, so that every thread inherits it and only the signalfd sees them.
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR2}) ::sigaddset(&set, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return io_error("cannot block signals", error);
  }
  std::signal(SIGPIPE, SIG_IGN);
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC));
  if (!signals) return io_error("cannot create a signalfd", errno);
  VMSNAP_ASSIGN_OR_RETURN(auto console, ConsoleOutput::open(STDOUT_FILENO));
  return std::unique_ptr<Session>(
      std::make_unique<ForegroundSession>(std::move(signals), std::move(console)));
}

int finish(const Result<MachineEnd>& end) {
  if (!end) {
    fmt::print(stderr, "snapvmm: {}\n", end.error().to_string());
    return exit_code(end.error().kind());
  }
  switch (end->reason) {
    case EndReason::kPowerOff:
    case EndReason::kReset:
    case EndReason::kQuit:
      fmt::print(stderr, "snapvmm: the machine has ended: {}\n", to_string(end->reason));
      return kExitOk;
    case EndReason::kSuspended:
      fmt::print(stderr, "snapvmm: the machine is suspended in {}\n", end->message);
      return kExitOk;
    case EndReason::kTripleFault:
      fmt::print(stderr, "snapvmm: the guest died of a triple fault; look at its console\n");
      return kExitFailure;
    case EndReason::kFailure:
      fmt::print(stderr, "snapvmm: {}\n", end->message);
      return kExitFailure;
  }
  return kExitFailure;
}

}  // namespace vmsnap::vmm
