// SPDX-License-Identifier: BSD-2-Clause
// UNIX stream sockets with a name in the file system. Internal to control/.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmsnap::vmm {

/// A socket that listens, and the file by which clients find it. Move-only.
class ListeningSocket {
 public:
  /// Makes a socket at `path` that only its owner can open: at no instant is its mode wider than 0600. A
  /// socket file that nobody listens on any more is replaced. Errors: Usage (the path is too long, or is
  /// something else than a socket), InvalidState (another process listens there), Io.
  [[nodiscard]] static Result<ListeningSocket> create(const std::string& path);

  ListeningSocket(ListeningSocket&& other) noexcept = default;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  /// Removes the file, unless another one has taken its place.
  ~ListeningSocket();

  /// Non-blocking.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  ListeningSocket(UniqueFd fd, UniqueFd directory, std::string name, dev_t device, ino_t inode)
      : fd_(std::move(fd)),
        directory_(std::move(directory)),
        name_(std::move(name)),
        device_(device),
        inode_(inode) {}

  UniqueFd fd_;
  UniqueFd directory_;  // where the file is; makes the file findable after a chdir or a rename
  std::string name_;    // within directory_
  dev_t device_;
  ino_t inode_;
};

/// A blocking connection to the socket at `path`. Errors: Usage (the path is too long), Io.
[[nodiscard]] Result<UniqueFd> connect_to(const std::string& path);

/// One send(2) without blocking; `descriptor`, when not -1, goes along. The number of
/// bytes taken, or -1 with errno.
[[nodiscard]] ssize_t send_with(int fd, std::string_view bytes, int descriptor);

/// What one recv(2) brought.
struct Received {
  std::size_t size = 0;               // bytes; 0 at the end of the stream
  std::vector<UniqueFd> descriptors;  // that came with the last of them: no more than two
  bool too_many = false;              // there were more, which are closed
};

/// One recv(2) without blocking into `place`, with the descriptors that came along; nullopt with errno.
[[nodiscard]] std::optional<Received> receive_with(int fd, std::span<char> place);

/// The user at the other end of a connected socket, as it was when the connection was made. Errors: Io.
[[nodiscard]] Result<uid_t> peer_user(int fd);

}  // namespace vmsnap::vmm
