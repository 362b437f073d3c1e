// SPDX-License-Identifier: BSD-2-Clause
// The machine's end of the control socket.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/protocol.h"

namespace vmsnap::vmm {

/// Does what a client asks for. Called from one thread of the server's, one request at a time, so a command
/// that takes long keeps the others waiting.
class CommandHandler {
 public:
  virtual ~CommandHandler() = default;
  /// The result for the client, or the error it is shown. `stream` is the descriptor that the client sent
  /// with a request that has one, else none.
  [[nodiscard]] virtual Result<nlohmann::json> handle(const Request& request, UniqueFd stream) = 0;
};

/// Whether user `peer` may control a machine of user `owner`: the owner and root may.
[[nodiscard]] bool may_control(uid_t peer, uid_t owner);

/// Serves a UNIX stream socket from its own thread until it is destroyed. Several clients may be connected,
/// and each may send requests without waiting for replies, which come in order. A client that sends an
/// oversized line, or descriptors far ahead of the requests they are for, is told so and cut off; one that
/// does not read its replies is not read from either.
class ControlServer {
 public:
  using PeerCheck = std::function<bool(uid_t peer)>;

  /// Makes the socket at `path` with mode 0600 and begins to serve it. `handler` must outlive the server.
  /// `allowed` decides who may talk; by default may_control() with this process as the owner.
  /// Errors: Usage (path too long, or not a socket), InvalidState (another process serves it), Io.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> start(const std::string& path,
                                                                    CommandHandler& handler,
                                                                    PeerCheck allowed = {});

  /// Waits for the command that is being handled, delivers the replies that are ready (to clients that take
  /// them within a second), closes all connections and removes the socket's file if it is still this one.
  virtual ~ControlServer() = default;
};

}  // namespace vmsnap::vmm
