// SPDX-License-Identifier: BSD-2-Clause
#include "control/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "control/socket.h"

namespace vmsnap::vmm {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Waits for `events` on `fd`, until `deadline` if there is one.
Result<void> wait_for(int fd, short events, std::optional<SteadyClock::time_point> deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - SteadyClock::now()).count();
      timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
    }
    pollfd poll_fd = {fd, events, 0};
    const int count = ::poll(&poll_fd, 1, timeout);
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return io_error("cannot wait for the machine", errno);
    if (count == 0 && deadline && SteadyClock::now() >= *deadline) {
      return Error(ErrorKind::kIo,
                   "the machine did not answer in time; it may still do what it was asked to");
    }
  }
}

// Sends the request and returns the line that comes back.
Result<std::string> converse(int fd, const Request& request, int stream,
                             std::optional<SteadyClock::time_point> deadline) {
  const std::string line = encode(request);
  for (std::size_t sent = 0; sent < line.size();) {
    VMSNAP_RETURN_IF_ERROR(wait_for(fd, POLLOUT, deadline));
    const ssize_t count = send_with(fd, std::string_view(line).substr(sent), sent == 0 ? stream : -1);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      // It may have said why before it hung up.
      break;
    } else if (errno != EINTR && errno != EAGAIN) {
      return io_error("cannot send to the machine", errno);
    }
  }
  std::string reply;
  for (;;) {
    VMSNAP_RETURN_IF_ERROR(wait_for(fd, POLLIN, deadline));
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return io_error("cannot receive from the machine", errno);
    }
    if (count == 0) {
      return Error(ErrorKind::kIo,
                   "the machine went away without an answer; look at the messages of its snapvmm");
    }
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(count));
    const std::size_t end = piece.find('\n');
    reply += piece.substr(0, end);
    if (end != std::string_view::npos || reply.size() > kReplyLimit) return reply;
  }
}

}  // namespace

Result<Request> make_request(std::string_view command, const std::string& file, const SaveOptions& options) {
  const auto parsed = parse_command(command);
  if (!parsed) {
    return Error(ErrorKind::kUsage,
                 fmt::format("there is no control command {}; use status, pause, resume, checkpoint, "
                             "suspend or quit",
                             command));
  }
  Request request;
  request.id = 1;
  request.command = *parsed;
  request.encoding = options.encoding;
  request.compression = options.compression;
  request.level = options.level;
  request.stream = file == "-";
  if (!file.empty() && !request.stream) {
    std::error_code error;
    request.file = std::filesystem::absolute(file, error).string();
    if (error) return io_error("cannot find the current directory", error.value()).in_file(file);
  }
  VMSNAP_RETURN_IF_ERROR(validate(request));
  return request;
}

Result<nlohmann::json> call(const std::string& socket, const Request& request,
                            std::optional<std::chrono::milliseconds> timeout, int stream) {
  std::optional<SteadyClock::time_point> deadline;
  if (timeout) deadline = SteadyClock::now() + *timeout;
  VMSNAP_ASSIGN_OR_RETURN(const UniqueFd fd, connect_to(socket));
  auto reply = converse(fd.get(), request, request.stream ? stream : -1, deadline);
  if (!reply) return std::move(reply).error().in_file(socket);
  return decode_reply(*reply, request.id);
}

}  // namespace vmsnap::vmm
