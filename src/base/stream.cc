// SPDX-License-Identifier: BSD-2-Clause
#include "base/stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

namespace vmsnap {
namespace {

constexpr int kCancelCheckMs = 200;
// What every process may ask for (/proc/sys/fs/pipe-max-size), where the system does not say otherwise.
constexpr int kPipeSize = 1 << 20;

/// Keeps SIGPIPE away from the calling thread, and takes back the one that a write of its own raised.
class PipeSignalGuard {
 public:
  PipeSignalGuard() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  PipeSignalGuard(const PipeSignalGuard&) = delete;
  PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;
  ~PipeSignalGuard() {
    const int saved = errno;
    constexpr timespec kNow{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &kNow);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

StreamSink::StreamSink(UniqueFd fd, std::string name, std::function<bool()> cancelled)
    : fd_(std::move(fd)), name_(std::move(name)), cancelled_(std::move(cancelled)) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return;  // the first write says why
  is_socket_ = S_ISSOCK(status.st_mode);
  if (S_ISFIFO(status.st_mode)) {
    // A description of our own of the same pipe: O_NONBLOCK on the one we were given would reach everybody
    // who shares it. Without /proc writes block, and only cancelling waits for the reader.
    UniqueFd own(
        ::open(fmt::format("/proc/self/fd/{}", fd_.get()).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (own) fd_ = std::move(own);
    // Writer and reader wait for each other less often. Where the system allows no more, it stays as it is.
    if (::fcntl(fd_.get(), F_GETPIPE_SZ) < kPipeSize) ::fcntl(fd_.get(), F_SETPIPE_SZ, kPipeSize);
  }
}

ssize_t StreamSink::send(std::span<const iovec> pieces) const {
  if (is_socket_) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg(2) only reads
    message.msg_iovlen = pieces.size();
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  const PipeSignalGuard guard;
  return ::writev(fd_.get(), pieces.data(), static_cast<int>(pieces.size()));
}

bool StreamSink::wait_for_room() const {
  while (true) {
    if (cancelled_ && cancelled_()) {
      errno = ECANCELED;
      return false;
    }
    pollfd room{fd_.get(), POLLOUT, 0};
    const int count = ::poll(&room, 1, cancelled_ ? kCancelCheckMs : -1);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

ssize_t StreamSink::write_some(std::span<const iovec> pieces) {
  while (true) {
    const ssize_t taken = send(pieces);
    if (taken >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return taken;
    if (!wait_for_room()) return -1;
  }
}

Error StreamSink::failure(int errno_value) const {
  switch (errno_value) {
    case EPIPE:
    case ECONNRESET:
      return {ErrorKind::kIo, "the reader of this stream has gone away; what it was given is incomplete"};
    case ECANCELED:
      return {ErrorKind::kInvalidState, "it was cancelled"};
    default:
      return io_error("cannot write", errno_value);
  }
}

Error StreamSource::failure(int errno_value) const {
  return io_error("cannot read", errno_value).in_file(name_).at_offset(position_);
}

Result<void> StreamSource::wait_for_data() const {
  while (true) {
    if (cancelled_ && cancelled_()) {
      return Error(ErrorKind::kInvalidState, "it was cancelled").in_file(name_).at_offset(position_);
    }
    pollfd data{fd_.get(), POLLIN, 0};
    const int count = ::poll(&data, 1, cancelled_ ? kCancelCheckMs : -1);
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return failure(errno);
  }
}

Result<std::size_t> StreamSource::read_some(std::span<const iovec> places) {
  while (true) {
    // Before the read, since that may block for as long as the sender likes.
    if (cancelled_) VMSNAP_RETURN_IF_ERROR(wait_for_data());
    const ssize_t count = ::readv(fd_.get(), places.data(), static_cast<int>(places.size()));
    if (count >= 0) {
      position_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return failure(errno);
    VMSNAP_RETURN_IF_ERROR(wait_for_data());
  }
}

Result<void> StreamSource::read(std::span<const MutableByteView> places) {
  std::array<iovec, IOV_MAX> vector;
  std::size_t next = 0;       // place to go on with
  std::size_t next_byte = 0;  // in that place
  while (true) {
    std::size_t count = 0;
    for (std::size_t i = next; i < places.size() && count < vector.size(); ++i) {
      const MutableByteView rest = places[i].subspan(i == next ? next_byte : 0);
      if (!rest.empty()) vector[count++] = {rest.data(), rest.size()};
    }
    if (count == 0) return {};
    VMSNAP_ASSIGN_OR_RETURN(std::size_t got, read_some({vector.data(), count}));
    if (got == 0) {
      return Error(ErrorKind::kTruncated,
                   "the stream ends here, before the snapshot does: its sender failed or was stopped")
          .in_file(name_)
          .at_offset(position_);
    }
    while (next < places.size() && got >= places[next].size() - next_byte) {
      got -= places[next].size() - next_byte;
      next_byte = 0;
      ++next;
    }
    next_byte += got;
  }
}

Result<std::size_t> StreamSource::read_up_to(MutableByteView place) {
  std::size_t filled = 0;
  while (filled < place.size()) {
    const iovec rest{place.data() + filled, place.size() - filled};
    VMSNAP_ASSIGN_OR_RETURN(const std::size_t got, read_some({&rest, 1}));
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

}  // namespace vmsnap
