// SPDX-License-Identifier: BSD-2-Clause
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <iostream>

#include "snaptool.h"

namespace {

// A handler can reach nothing else.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

/// The first interrupt is a request; the second one ends the program if the first was not heard.
const std::atomic<bool>* catch_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    // A shell that starts a program in the background has it ignore interrupts: so it stays.
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
  return &interrupted;
}

}  // namespace

int main(int argc, char** argv) {
  vmsnap::snaptool::Output output(std::cout, std::cerr, {::isatty(STDERR_FILENO) == 1, catch_interrupt});
  return vmsnap::snaptool::snaptool_main({argv, static_cast<std::size_t>(argc)}, output);
}
