// SPDX-License-Identifier: BSD-2-Clause
#include "control/socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace vmsnap::vmm {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr int kBacklog = 16;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error(ErrorKind::kUsage,
                 fmt::format("the path of a socket has 1 to {} bytes, not {}; use a shorter one, "
                             "relative to the current directory if need be",
                             sizeof address.sun_path - 1, path.size()))
        .in_file(path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> make_socket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) return io_error("cannot create a socket", errno);
  return fd;
}

// An exclusive flock(2) on a directory, for as long as the descriptor is open or unlock() is not called: two
// machines that start at once must not both find the same stale socket.
Result<void> lock_directory(int fd, const std::string& path) {
  constexpr int kAttempts = 200;
  for (int i = 0; i < kAttempts; ++i) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR)
      return io_error("cannot lock its directory", errno).in_file(path);
    const timespec pause = {0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return Error(ErrorKind::kIo,
               "its directory is locked by another process; try again or use another directory")
      .in_file(path);
}

// Takes a dead socket out of the way and leaves everything else alone. The directory is locked.
Result<void> clear_way(int directory, const std::string& name, const std::string& path) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return io_error("cannot look for an older socket", errno).in_file(path);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error(ErrorKind::kUsage, "there is a file that is not a socket; remove it or choose another path")
        .in_file(path);
  }
  VMSNAP_ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  VMSNAP_ASSIGN_OR_RETURN(const UniqueFd probe, make_socket(SOCK_NONBLOCK));
  const bool connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  // EAGAIN is a listener whose queue is full.
  if (connected || errno == EAGAIN || errno == EINPROGRESS) {
    return Error(ErrorKind::kInvalidState,
                 "another process listens on this socket; end it or choose another path")
        .in_file(path);
  }
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED)
    return io_error("cannot find out whether the socket is in use", errno).in_file(path);
  // Its owner may just have removed it, on its way out.
  if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT)
    return io_error("cannot remove the stale socket", errno).in_file(path);
  return {};
}

}  // namespace

Result<ListeningSocket> ListeningSocket::create(const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  UniqueFd directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return io_error("cannot open the directory of the socket", errno).in_file(path);
  VMSNAP_RETURN_IF_ERROR(lock_directory(directory.get(), path));
  VMSNAP_RETURN_IF_ERROR(clear_way(directory.get(), name, path));

  VMSNAP_ASSIGN_OR_RETURN(UniqueFd fd, make_socket(SOCK_NONBLOCK));
  // The file gets the mode that the socket has when it is bound (unix(7) inherits it, less the umask), so
  // there is no moment with a wider one, and no umask(2), which would reach into other threads.
  if (::fchmod(fd.get(), kOwnerOnly) != 0)
    return io_error("cannot set the mode of the socket", errno).in_file(path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return io_error("cannot make the socket", errno).in_file(path);
  }
  struct stat status {};
  if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return io_error("cannot read the status of the socket", errno).in_file(path);
  }
  ListeningSocket listener(std::move(fd), std::move(directory), std::move(name), status.st_dev,
                           status.st_ino);
  if ((status.st_mode & 07777 & ~kOwnerOnly) != 0) {
    return Error(ErrorKind::kIo,
                 fmt::format("the file system gave the socket mode {:04o} instead of 0600; choose a "
                             "directory on another file system",
                             status.st_mode & 07777))
        .in_file(path);
  }
  if (::listen(listener.fd(), kBacklog) != 0)
    return io_error("cannot listen on the socket", errno).in_file(path);
  ::flock(listener.directory_.get(), LOCK_UN);
  return listener;
}

ListeningSocket::~ListeningSocket() {
  if (!directory_) return;
  struct stat status {};
  if (::fstatat(directory_.get(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlinkat(directory_.get(), name_.c_str(), 0);
}

Result<UniqueFd> connect_to(const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  VMSNAP_ASSIGN_OR_RETURN(UniqueFd fd, make_socket(0));
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return Error(ErrorKind::kIo,
                   "no machine listens on this socket; check the path and that snapvmm is running")
          .in_file(path);
    }
    return io_error("cannot connect", errno).in_file(path);
  }
  return fd;
}

ssize_t send_with(int fd, std::string_view bytes, int descriptor) {
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};  // sendmsg(2) only reads
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptor)> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  return ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::optional<Received> receive_with(int fd, std::span<char> place) {
  constexpr std::size_t kDescriptors = 2;
  iovec piece{place.data(), place.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  // The kernel closes the descriptors for which there is no room, and says so.
  const ssize_t count = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) return std::nullopt;
  Received received;
  received.size = static_cast<std::size_t>(count);
  received.too_many = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(part) + at, sizeof descriptor);
      received.descriptors.emplace_back(descriptor);
    }
  }
  return received;
}

Result<uid_t> peer_user(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return io_error("cannot find out who connected", errno);
  }
  return credentials.uid;
}

}  // namespace vmsnap::vmm
