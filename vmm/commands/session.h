// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "devices/uart16550/uart16550.h"
#include "machine/end_event.h"
#include "machine/machine.h"

namespace vmsnap::vmm {

/// One run of a machine in the foreground: console on the terminal, control socket, signals.
class Session {
 public:
  enum class Start { kRunning, kPaused };

  /// Prepares the process: from here on SIGINT, SIGTERM and SIGHUP end the machine instead of the process.
  /// Errors: Io.
  [[nodiscard]] static Result<std::unique_ptr<Session>> open();
  virtual ~Session() = default;

  /// Where the guest's console output goes. Valid as long as this object.
  [[nodiscard]] virtual CharacterSink& console() = 0;

  /// Runs `machine` to its end. `control` is the path of the control socket, or empty. Errors: Io, Usage
  /// (the socket cannot be made).
  [[nodiscard]] virtual Result<MachineEnd> run(Machine& machine, const std::string& control, Start start) = 0;

  /// Says what is wrong, as finish() would, and ends the process at once, whatever its threads wait for: no
  /// thread of the guest goes on. From any thread, also before and during run(). The socket's file stays.
  [[noreturn]] virtual void abandon(const Error& error) = 0;
};

/// Says on standard error why the machine ended and returns the exit status.
[[nodiscard]] int finish(const Result<MachineEnd>& end);

}  // namespace vmsnap::vmm
