// SPDX-License-Identifier: BSD-2-Clause
#include "control/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "control/socket.h"

namespace vmsnap::vmm {
namespace {

constexpr std::size_t kMaxClients = 16;
// Replies that may wait for a client before it is read from again.
constexpr std::size_t kOutputLimit = std::size_t{64} * 1024;
constexpr std::size_t kMaxAttached = 4;  // descriptors that wait for their requests
constexpr std::chrono::milliseconds kFarewell{1000};
constexpr int kAcceptPauseMs = 100;

/// One client: bytes in, one request at a time, bytes out. Never blocks.
class Connection {
 public:
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }

  [[nodiscard]] bool wants_input() const { return !at_end_ && input_.size() <= kRequestLimit && has_room(); }
  [[nodiscard]] bool has_output() const { return !output_.empty(); }
  /// A whole line (or one too long to become whole) waits and its reply has room.
  [[nodiscard]] bool has_request() const {
    return has_room() && (input_.size() > kRequestLimit || input_.find('\n') != std::string::npos);
  }
  [[nodiscard]] bool is_done() const { return broken_ || (at_end_ && !has_output() && !has_request()); }

  void receive() {
    std::array<char, 16384> buffer;
    auto received = receive_with(fd_.get(), buffer);
    if (!received) {
      if (errno != EAGAIN && errno != EINTR) broken_ = true;
    } else if (received->size == 0) {
      at_end_ = true;
    } else {
      input_.append(buffer.data(), received->size);
      // A read ends with the message that has descriptors, and may begin with others: so they belong to its
      // last byte.
      for (UniqueFd& descriptor : received->descriptors) attach(std::move(descriptor));
      if (received->too_many) attach(UniqueFd());
      if (attached_.size() > kMaxAttached) {
        refuse(Error(ErrorKind::kLimitExceeded,
                     "more descriptors have come than requests for them; send one with each request that "
                     "needs one, and wait for its reply"));
      }
    }
  }

  void send() {
    const ssize_t count = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      output_.erase(0, static_cast<std::size_t>(count));
    } else if (errno != EAGAIN && errno != EINTR) {
      broken_ = true;
    }
  }

  void serve_one(CommandHandler& handler) {
    const std::size_t end = input_.find('\n');
    const bool oversized = end == std::string::npos || end > kRequestLimit;
    const std::string line = input_.substr(0, oversized ? kRequestLimit + 1 : end);
    std::optional<std::uint64_t> id;
    const auto request = decode_request(line, id);
    if (oversized) {
      // Where the next request begins is anybody's guess.
      refuse(request.error());
      return;
    }
    input_.erase(0, end + 1);
    std::vector<UniqueFd> descriptors = detach(end + 1);
    if (!request) {
      output_ += encode_error(id, request.error());
      return;
    }
    if (descriptors.size() != (request->stream ? 1 : 0)) {
      output_ += encode_error(id, wrong_descriptors(*request));
      return;
    }
    const auto result =
        handler.handle(*request, request->stream ? std::move(descriptors.front()) : UniqueFd());
    output_ += result ? encode_result(request->id, *result) : encode_error(request->id, result.error());
  }

  /// Answers with `error` and hears nothing more.
  void refuse(const Error& error) {
    output_ += encode_error(std::nullopt, error);
    input_.clear();
    attached_.clear();
    at_end_ = true;
  }

 private:
  /// A descriptor that came with byte `position` of input_; none when the kernel closed it.
  struct Attached {
    std::size_t position;
    UniqueFd fd;
  };

  void attach(UniqueFd fd) { attached_.push_back({input_.size() - 1, std::move(fd)}); }

  /// Takes those out that came with the first `size` bytes, which are gone from input_.
  std::vector<UniqueFd> detach(std::size_t size) {
    std::vector<UniqueFd> taken;
    for (Attached& attached : attached_) {
      if (attached.position < size) {
        taken.push_back(std::move(attached.fd));
      } else {
        attached.position -= size;
      }
    }
    attached_.erase(attached_.begin(), attached_.begin() + static_cast<std::ptrdiff_t>(taken.size()));
    return taken;
  }

  static Error wrong_descriptors(const Request& request) {
    return Error(ErrorKind::kUsage,
                 request.stream
                     ? "a stream needs exactly one descriptor, sent along with the request"
                     : fmt::format("the command {} without a stream takes no descriptor; send none",
                                   to_string(request.command)))
        .in_field("stream");
  }

  [[nodiscard]] bool has_room() const { return output_.size() < kOutputLimit; }

  UniqueFd fd_;
  std::string input_;
  std::string output_;
  std::vector<Attached> attached_;  // in order of position
  bool at_end_ = false;
  bool broken_ = false;
};

class SocketServer : public ControlServer {
 public:
  SocketServer(ListeningSocket listener, UniqueFd stop, CommandHandler& handler, PeerCheck allowed)
      : listener_(std::move(listener)),
        stop_(std::move(stop)),
        handler_(handler),
        allowed_(std::move(allowed)) {
    thread_ = std::thread([this] { serve(); });
  }

  ~SocketServer() override {
    const std::uint64_t one = 1;
    // Cannot fail: the counter of an eventfd has room for far more than one.
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

 private:
  void serve() {
    for (;;) {
      const bool busy =
          std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return c.has_request(); });
      std::vector<pollfd> fds = {{stop_.get(), POLLIN, 0}};
      for (const Connection& client : clients_) fds.push_back(interest_of(client));
      const bool accepting = clients_.size() < kMaxClients && !accept_failed_;
      if (accepting) fds.push_back({listener_.fd(), POLLIN, 0});
      const int timeout = busy ? 0 : accept_failed_ ? kAcceptPauseMs : -1;
      accept_failed_ = false;
      if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return;
      if (fds[0].revents != 0) break;
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        transfer(clients_[i], fds[1 + i].revents);
        if (clients_[i].has_request()) clients_[i].serve_one(handler_);
      }
      remove_finished();
      if (accepting && fds.back().revents != 0) accept_one();
    }
    say_farewell();
  }

  static pollfd interest_of(const Connection& client) {
    const int events = (client.wants_input() ? POLLIN : 0) | (client.has_output() ? POLLOUT : 0);
    return {client.fd(), static_cast<short>(events), 0};
  }

  static void transfer(Connection& client, short events) {
    if ((events & POLLOUT) != 0) client.send();
    // An error or hang-up shows itself to whichever call comes next.
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
      if (client.has_output() && !client.wants_input()) client.send();
      if (client.wants_input()) client.receive();
    }
  }

  void remove_finished() {
    clients_.erase(
        std::remove_if(clients_.begin(), clients_.end(), [](const auto& c) { return c.is_done(); }),
        clients_.end());
  }

  void accept_one() {
    UniqueFd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // Out of descriptors, mostly: the client stays in the queue, so polling again at once would spin.
      accept_failed_ = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
      return;
    }
    const auto peer = peer_user(fd.get());
    Connection& client = clients_.emplace_back(std::move(fd));
    if (!peer) {
      client.refuse(peer.error());
    } else if (!allowed_(*peer)) {
      client.refuse(
          Error(ErrorKind::kUsage,
                fmt::format("user {} may not control this machine; become its owner or root", *peer)));
    }
  }

  // Lets clients have the replies that are ready, such as the one to the command that ended the machine.
  void say_farewell() {
    const auto deadline = std::chrono::steady_clock::now() + kFarewell;
    for (;;) {
      std::vector<pollfd> fds;
      std::vector<Connection*> waiting;
      remove_finished();
      for (Connection& client : clients_) {
        if (!client.has_output()) continue;
        fds.push_back({client.fd(), POLLOUT, 0});
        waiting.push_back(&client);
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (fds.empty() || left.count() <= 0) return;
      if (::poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) return;
      for (std::size_t i = 0; i < fds.size(); ++i) {
        if (fds[i].revents != 0) waiting[i]->send();
      }
    }
  }

  ListeningSocket listener_;
  UniqueFd stop_;  // an eventfd
  CommandHandler& handler_;
  PeerCheck allowed_;
  std::vector<Connection> clients_;
  bool accept_failed_ = false;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace

bool may_control(uid_t peer, uid_t owner) {
  return peer == owner || peer == 0;
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, CommandHandler& handler,
                                                            PeerCheck allowed) {
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return io_error("cannot create an eventfd", errno);
  VMSNAP_ASSIGN_OR_RETURN(ListeningSocket listener, ListeningSocket::create(path));
  if (!allowed) allowed = [owner = ::geteuid()](uid_t peer) { return may_control(peer, owner); };
  return std::unique_ptr<ControlServer>(
      std::make_unique<SocketServer>(std::move(listener), std::move(stop), handler, std::move(allowed)));
}

}  // namespace vmsnap::vmm
