// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <termios.h>

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace vmsnap::vmm {

/// The settings of the terminal on standard input, if there is one and it belongs to this process.
class TerminalSettings {
 public:
  [[nodiscard]] static TerminalSettings current();
  [[nodiscard]] bool has_terminal() const { return settings_.has_value(); }
  /// Puts the terminal in raw mode, but for the processing of output. Errors: Io.
  [[nodiscard]] Result<void> make_raw() const;
  /// Makes the terminal what it was. Thread-safe.
  void put_back() const;

 private:
  std::optional<termios> settings_;
};

/// The serial console of the guest on the standard input and output of the VMM. While it exists, a
/// terminal on standard input is in raw mode; it is put back on destruction. `Ctrl-A x` ends the VMM,
/// `Ctrl-A Ctrl-A` sends one Ctrl-A to the guest.
class Terminal {
 public:
  /// Takes bytes for the guest and returns how many it took; called from the terminal's thread.
  using Receive = std::function<std::size_t(ByteView)>;
  using Quit = std::function<void()>;

  /// Starts reading standard input. Errors: Io.
  [[nodiscard]] static Result<std::unique_ptr<Terminal>> start(Receive receive, Quit quit);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

 private:
  Terminal(Receive receive, Quit quit) : receive_(std::move(receive)), quit_(std::move(quit)) {}
  void read_input();

  Receive receive_;
  Quit quit_;
  const TerminalSettings settings_ = TerminalSettings::current();
  UniqueFd stop_;
  std::thread reader_;
  bool escape_ = false;
};

}  // namespace vmsnap::vmm
