// SPDX-License-Identifier: BSD-2-Clause
#include "machine/terminal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace vmsnap::vmm {
namespace {

constexpr std::byte kCtrlA{0x01};
// While the guest's FIFO is full its input waits; the line is slow enough for a short sleep.
constexpr int kRetryMs = 5;

}  // namespace

TerminalSettings TerminalSettings::current() {
  TerminalSettings result;
  termios settings{};
  // A background process that changed the terminal would be stopped by SIGTTOU.
  if (::tcgetpgrp(STDIN_FILENO) == ::getpgrp() && ::tcgetattr(STDIN_FILENO, &settings) == 0) {
    result.settings_ = settings;
  }
  return result;
}

Result<void> TerminalSettings::make_raw() const {
  if (!settings_) return {};
  termios raw = *settings_;
  ::cfmakeraw(&raw);
  raw.c_oflag |= OPOST;
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0) return {};
  return io_error("cannot set the terminal to raw mode", errno);
}

void TerminalSettings::put_back() const {
  if (settings_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*settings_);
}

Result<std::unique_ptr<Terminal>> Terminal::start(Receive receive, Quit quit) {
  std::unique_ptr<Terminal> terminal(new Terminal(std::move(receive), std::move(quit)));
  terminal->stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!terminal->stop_) return io_error("cannot create an eventfd for the terminal", errno);
  VMSNAP_RETURN_IF_ERROR(terminal->settings_.make_raw());
  terminal->reader_ = std::thread([raw = terminal.get()] { raw->read_input(); });
  return terminal;
}

Terminal::~Terminal() {
  const std::uint64_t one = 1;
  // An eventfd that counts from 0 takes a 1; there is nothing to do about a failure here.
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  if (reader_.joinable()) reader_.join();
  settings_.put_back();
}

void Terminal::read_input() {
  std::array<std::byte, 256> buffer{};
  std::vector<std::byte> waiting;
  while (true) {
    std::array<pollfd, 2> fds{pollfd{stop_.get(), POLLIN, 0},
                              pollfd{waiting.empty() ? STDIN_FILENO : -1, POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), waiting.empty() ? -1 : kRetryMs) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    if (waiting.empty() && fds[1].revents != 0) {
      const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) return;
      for (ssize_t i = 0; i < count; ++i) {
        const std::byte byte = buffer[static_cast<std::size_t>(i)];
        if (escape_) {
          escape_ = false;
          if (byte == std::byte{'x'}) {
            quit_();
            continue;
          }
        } else if (byte == kCtrlA && settings_.has_terminal()) {
          escape_ = true;
          continue;
        }
        waiting.push_back(byte);
      }
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(receive_(waiting)));
  }
}

}  // namespace vmsnap::vmm
