// SPDX-License-Identifier: BSD-2-Clause
#include "machine/console_output.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace vmsnap::vmm {
namespace {

void signal(const UniqueFd& event) {
  const std::uint64_t one = 1;
  // An eventfd that nobody counts up to its limit takes a 1; there is nothing to do about a failure here.
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

}  // namespace

Result<std::unique_ptr<ConsoleOutput>> ConsoleOutput::open(int fd) {
  UniqueFd refused(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!refused) return io_error("cannot create an eventfd for the console", errno);
  return std::unique_ptr<ConsoleOutput>(new ConsoleOutput(fd, std::move(refused)));
}

std::size_t ConsoleOutput::write(ByteView bytes) {
  // Asked before each write instead of setting O_NONBLOCK, which others that have the same file open would
  // get too. A pipe or terminal that has room at all takes this few bytes without waiting.
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    pollfd place{fd_, POLLOUT, 0};
    const int ready = ::poll(&place, 1, 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) break;
    const ssize_t count = ::write(fd_, bytes.data() + taken, bytes.size() - taken);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) return bytes.size();  // nobody will ever read it
    taken += static_cast<std::size_t>(count);
  }
  if (taken < bytes.size()) signal(refused_);
  return taken;
}

Result<std::unique_ptr<ConsoleOutput::Watch>> ConsoleOutput::Watch::start(const ConsoleOutput& output,
                                                                          std::function<void()> room) {
  std::unique_ptr<Watch> watch(new Watch(output, std::move(room)));
  watch->stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch->stop_) return io_error("cannot create an eventfd for the console", errno);
  try {
    watch->thread_ = std::thread([raw = watch.get()] { raw->run(); });
  } catch (const std::system_error& error) {
    return io_error("cannot start a thread for the console", error.code().value());
  }
  return watch;
}

ConsoleOutput::Watch::~Watch() {
  signal(stop_);
  if (thread_.joinable()) thread_.join();
}

void ConsoleOutput::Watch::run() {
  const auto wait_for = [this](int fd, short events) {
    while (true) {
      std::array<pollfd, 2> fds{pollfd{stop_.get(), POLLIN, 0}, pollfd{fd, events, 0}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return false;
      if (fds[0].revents != 0) return false;
      if (fds[1].revents != 0) return true;
    }
  };
  while (wait_for(output_.refused_.get(), POLLIN)) {
    std::uint64_t times = 0;
    [[maybe_unused]] const ssize_t count = ::read(output_.refused_.get(), &times, sizeof times);
    if (!wait_for(output_.fd_, POLLOUT)) return;
    room_();
  }
}

}  // namespace vmsnap::vmm
