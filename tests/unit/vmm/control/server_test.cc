// SPDX-License-Identifier: BSD-2-Clause
#include "control/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "../../base/temp_dir.h"
#include "base/unique_fd.h"
#include "control/client.h"

namespace vmsnap::vmm {
namespace {

using nlohmann::json;

/// Answers with the command's name and the file; refuses to resume. Writes a word into a stream.
class EchoHandler : public CommandHandler {
 public:
  Result<json> handle(const Request& request, UniqueFd stream) override {
    ++calls;
    if (request.stream) {
      return json{{"command", std::string(to_string(request.command))},
                  {"written", ::write(stream.get(), "snapshot", 8)}};
    }
    if (stream) return Error(ErrorKind::kInternal, "a descriptor for a request without a stream");
    if (request.command == Command::kResume) {
      return Error(ErrorKind::kInvalidState, "the machine runs; pause it first").in_device("cpu0");
    }
    return json{{"command", std::string(to_string(request.command))}, {"file", request.file}};
  }
  std::atomic<int> calls{0};
};

/// A client that sends what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    // No test waits for ever.
    const timeval limit = {10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  /// Sends `text` in one message with these descriptors.
  bool send_with(std::string_view text, const std::vector<int>& descriptors) {
    iovec piece{const_cast<char*>(text.data()), text.size()};
    std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }

  /// The next line as JSON; discarded when the server hangs up first.
  json receive() {
    std::size_t end = 0;
    while ((end = received_.find('\n')) == std::string::npos) {
      char buffer[4096];
      const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (count <= 0) return json(json::value_t::discarded);
      received_.append(buffer, static_cast<std::size_t>(count));
    }
    const json value = json::parse(received_.substr(0, end), nullptr, false);
    received_.erase(0, end + 1);
    return value;
  }
  bool is_hung_up() {
    char byte = 0;
    return ::recv(fd_.get(), &byte, 1, 0) <= 0 && errno != EAGAIN;
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  std::string received_;
};

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
  /// What is in it: "..." and, when nobody can write any more, "end".
  [[nodiscard]] std::string content() const {
    std::string text;
    char buffer[64];
    for (;;) {
      const ssize_t count = ::read(read.get(), buffer, sizeof buffer);
      if (count < 0) return text;
      if (count == 0) return text + "|end";
      text.append(buffer, static_cast<std::size_t>(count));
    }
  }
  UniqueFd read;
  UniqueFd write;
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

Request stream_request(std::uint64_t id) {
  Request request;
  request.id = id;
  request.command = Command::kCheckpoint;
  request.stream = true;
  return request;
}

class Control : public testing::Test {
 protected:
  std::unique_ptr<ControlServer> start(ControlServer::PeerCheck allowed = {}) {
    auto server = ControlServer::start(path_, handler_, std::move(allowed));
    if (server) return std::move(*server);
    ADD_FAILURE() << server.error().to_string();
    return nullptr;
  }
  ErrorKind refusal() {
    const auto server = ControlServer::start(path_, handler_);
    EXPECT_FALSE(server);
    return server ? ErrorKind::kInternal : server.error().kind();
  }

  TempDir directory_;
  std::string path_ = directory_.file("ctl");
  EchoHandler handler_;
};

TEST_F(Control, TheSocketBelongsToItsOwnerAloneWhateverTheUmask) {
  const mode_t before = ::umask(0);
  const auto server = start();
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(Control, TheUmaskOfTheProcessIsNotTouched) {
  const mode_t before = ::umask(027);
  const auto server = start();
  EXPECT_EQ(::umask(before), 027u);
}

TEST_F(Control, AClientGetsTheResultOfItsCommand) {
  const auto server = start();
  const auto request = make_request("checkpoint", "/somewhere/guest.vmsnap");
  ASSERT_TRUE(request);
  const auto result = call(path_, *request);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(*result, json({{"command", "checkpoint"}, {"file", "/somewhere/guest.vmsnap"}}));
}

TEST_F(Control, AStreamGoesIntoTheDescriptorOfTheClient) {
  const auto server = start();
  Pipe pipe;
  const auto request = make_request("suspend", "-");
  ASSERT_TRUE(request) << request.error().to_string();
  const auto result = call(path_, *request, std::nullopt, pipe.write.get());
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(*result, json({{"command", "suspend"}, {"written", 8}}));
  pipe.write.reset();
  EXPECT_EQ(pipe.content(), "snapshot|end");
}

TEST_F(Control, AStreamNeedsOneDescriptorAndNotNoneOrManyAndNoneIsLeftOpen) {
  const auto server = start();
  Pipe pipe;
  RawClient client(path_);
  ASSERT_TRUE(client.send(encode(Request{1, Command::kStatus, ""})));
  EXPECT_TRUE(client.receive()["ok"]);
  const std::size_t before = open_descriptors();
  for (const std::size_t count : {0u, 2u, 3u, 200u}) {
    const std::vector<int> descriptors(count, pipe.write.get());
    const std::string line = encode(stream_request(count));
    ASSERT_TRUE(count == 0 ? client.send(line) : client.send_with(line, descriptors));
    const json reply = client.receive();
    EXPECT_EQ(reply["id"], count);
    EXPECT_EQ(reply["error"]["kind"], "usage") << reply;
    EXPECT_EQ(reply["error"]["field"], "stream");
    EXPECT_EQ(open_descriptors(), before);
  }
  ASSERT_TRUE(client.send_with(encode(stream_request(7)), {pipe.write.get()}));
  EXPECT_TRUE(client.receive()["ok"]);
  EXPECT_EQ(open_descriptors(), before);
  pipe.write.reset();
  EXPECT_EQ(pipe.content(), "snapshot|end");
}

TEST_F(Control, ADescriptorWithACommandThatTakesNoneIsRefusedAndClosed) {
  const auto server = start();
  Pipe pipe;
  RawClient client(path_);
  for (const std::string& line : {encode(Request{1, Command::kStatus, ""}),
                                  encode(Request{1, Command::kCheckpoint, "/file"}), std::string("junk\n")}) {
    ASSERT_TRUE(client.send_with(line, {pipe.write.get()}));
    EXPECT_EQ(client.receive()["error"]["kind"], "usage");
  }
  EXPECT_EQ(handler_.calls, 0);
  pipe.write.reset();
  EXPECT_EQ(pipe.content(), "|end");
}

TEST_F(Control, ADescriptorBelongsToTheRequestItCameWith) {
  const auto server = start();
  Pipe pipe;
  RawClient client(path_);
  // Sent in one go, so that the server may read all of it at once.
  const std::string line = encode(stream_request(2));
  ASSERT_TRUE(client.send(encode(Request{1, Command::kStatus, ""})));
  ASSERT_TRUE(client.send_with(line.substr(0, 1), {pipe.write.get()}));
  ASSERT_TRUE(client.send(line.substr(1) + encode(Request{3, Command::kStatus, ""})));
  for (int id = 1; id <= 3; ++id) {
    const json reply = client.receive();
    EXPECT_EQ(reply["id"], id);
    EXPECT_TRUE(reply["ok"]) << reply;
  }
  pipe.write.reset();
  EXPECT_EQ(pipe.content(), "snapshot|end");
}

/// What is in the pipe once its last writer is gone: a server that hangs up closes what it holds a little
/// later.
std::string wait_for_end(Pipe& pipe) {
  std::string content;
  for (int i = 0; i < 1000 && content.empty(); ++i) {
    content = pipe.content();
    if (content.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return content;
}

TEST_F(Control, AClientThatSendsNothingButDescriptorsIsCutOff) {
  const auto server = start();
  Pipe pipe;
  RawClient client(path_);
  for (int i = 0; i < 100; ++i) {
    if (!client.send_with(" ", {pipe.write.get(), pipe.write.get()})) break;
  }
  EXPECT_EQ(client.receive()["error"]["kind"], "limit-exceeded");
  EXPECT_TRUE(client.is_hung_up());
  pipe.write.reset();
  EXPECT_EQ(wait_for_end(pipe), "|end");
}

TEST_F(Control, DescriptorsOfAClientThatHangsUpAreClosed) {
  const auto server = start();
  Pipe pipe;
  {
    RawClient client(path_);
    ASSERT_TRUE(client.send_with("{", {pipe.write.get()}));
  }
  pipe.write.reset();
  EXPECT_EQ(wait_for_end(pipe), "|end");
}

TEST_F(Control, AClientGetsTheErrorOfTheMachineAndNotOneOfTheSocket) {
  const auto server = start();
  const auto request = make_request("resume", "");
  ASSERT_TRUE(request);
  const auto result = call(path_, *request);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kInvalidState);
  EXPECT_EQ(result.error().to_string(), "device cpu0: the machine runs; pause it first");
}

TEST_F(Control, ARelativeFileIsTakenFromTheDirectoryOfTheClient) {
  const auto request = make_request("suspend", "guest.vmsnap");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->file, (std::filesystem::current_path() / "guest.vmsnap").string());
}

TEST_F(Control, WordsThatMakeNoRequestAreUsageErrors) {
  for (const auto& [command, file] :
       {std::pair{"fly", ""}, std::pair{"status", "x"}, std::pair{"checkpoint", ""}, std::pair{"", ""}}) {
    const auto request = make_request(command, file);
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().kind(), ErrorKind::kUsage);
  }
}

TEST_F(Control, RequestsSentTogetherAreAnsweredInOrder) {
  const auto server = start();
  RawClient client(path_);
  std::string requests;
  for (std::uint64_t id = 0; id < 500; ++id) requests += encode({id, Command::kStatus, ""});
  ASSERT_TRUE(client.send(requests));
  client.finish_sending();
  for (std::uint64_t id = 0; id < 500; ++id) {
    const json reply = client.receive();
    ASSERT_TRUE(reply.is_object()) << id;
    EXPECT_EQ(reply["id"], id);
  }
  EXPECT_TRUE(client.is_hung_up());
}

TEST_F(Control, ARequestMayArriveByteByByte) {
  const auto server = start();
  RawClient client(path_);
  for (const char byte : encode({4, Command::kPause, ""})) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(client.receive()["id"], 4);
}

TEST_F(Control, SeveralClientsAreServedAtOnce) {
  const auto server = start();
  RawClient first(path_);
  RawClient second(path_);
  ASSERT_TRUE(first.send("{\"id\": 1, "));  // half a request keeps nobody waiting
  ASSERT_TRUE(second.send(encode({2, Command::kStatus, ""})));
  EXPECT_EQ(second.receive()["id"], 2);
  ASSERT_TRUE(first.send("\"command\": \"status\"}\n"));
  EXPECT_EQ(first.receive()["id"], 1);
}

TEST_F(Control, MoreClientsThanAreServedAtOnceGetTheirTurn) {
  const auto server = start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<RawClient>(path_));
    ASSERT_TRUE(clients.back()->send(encode({1, Command::kStatus, ""})));
    ASSERT_TRUE(clients.back()->receive().is_object());
  }
  RawClient late(path_);
  ASSERT_TRUE(late.send(encode({17, Command::kStatus, ""})));
  clients.pop_back();
  EXPECT_EQ(late.receive()["id"], 17);
}

TEST_F(Control, GarbageIsAnsweredAndTheConnectionGoesOn) {
  const auto server = start();
  RawClient client(path_);
  ASSERT_TRUE(client.send("hello\n\n\x01\xff\n" + encode({9, Command::kStatus, ""})));
  for (int i = 0; i < 3; ++i) {
    const json reply = client.receive();
    ASSERT_TRUE(reply.is_object());
    EXPECT_EQ(reply["ok"], false);
    EXPECT_TRUE(reply["id"].is_null());
    EXPECT_EQ(reply["error"]["kind"], "usage");
  }
  EXPECT_EQ(client.receive()["id"], 9);
  EXPECT_EQ(handler_.calls, 1);
}

TEST_F(Control, AnOversizedLineIsToldAndTheConnectionCut) {
  const auto server = start();
  for (const bool has_end : {false, true}) {
    RawClient client(path_);
    client.send(std::string(kRequestLimit + 1, 'x') + (has_end ? "\n" : ""));
    const json reply = client.receive();
    ASSERT_TRUE(reply.is_object());
    EXPECT_EQ(reply["error"]["kind"], "limit-exceeded");
    EXPECT_TRUE(client.is_hung_up());
  }
  EXPECT_EQ(handler_.calls, 0);
}

TEST_F(Control, AClientThatHangsUpLeavesTheOthersAlone) {
  const auto server = start();
  RawClient client(path_);
  for (int i = 0; i < 50; ++i) {
    RawClient rude(path_);
    rude.send(encode({1, Command::kStatus, ""}) + "{\"id\":");
  }
  ASSERT_TRUE(client.send(encode({2, Command::kStatus, ""})));
  EXPECT_EQ(client.receive()["id"], 2);
}

TEST_F(Control, AClientThatDoesNotReadIsNotReadFromForEver) {
  const auto server = start();
  RawClient flood(path_);
  std::thread sender([&] {
    // Far more than the socket's own buffers hold; ends when the server is gone.
    const std::string request = encode({1, Command::kCheckpoint, "/" + std::string(60000, 'x')});
    for (int i = 0; i < 200 && flood.send(request); ++i) continue;
  });
  RawClient client(path_);
  ASSERT_TRUE(client.send(encode({2, Command::kStatus, ""})));
  EXPECT_EQ(client.receive()["id"], 2);
  while (handler_.calls < 3) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(handler_.calls, 100);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(flood.receive().is_object()) << i;
  sender.join();
}

TEST_F(Control, OnlyThoseAreHeardWhomTheOwnerAllows) {
  std::atomic<uid_t> seen{12345};
  const auto server = start([&](uid_t peer) {
    seen = peer;
    return false;
  });
  RawClient client(path_);
  client.send(encode({1, Command::kQuit, ""}));
  const json reply = client.receive();
  ASSERT_TRUE(reply.is_object());
  EXPECT_EQ(reply["ok"], false);
  EXPECT_NE(reply["error"]["message"].dump().find("may not control"), std::string::npos);
  EXPECT_TRUE(client.is_hung_up());
  EXPECT_EQ(handler_.calls, 0);
  EXPECT_EQ(seen, ::geteuid());
}

TEST_F(Control, TheOwnerAndRootMayControlAMachine) {
  EXPECT_TRUE(may_control(1000, 1000));
  EXPECT_TRUE(may_control(0, 1000));
  EXPECT_FALSE(may_control(1001, 1000));
  EXPECT_FALSE(may_control(1000, 0));
}

TEST_F(Control, ASocketInUseIsNotTakenOver) {
  const auto server = start();
  EXPECT_EQ(refusal(), ErrorKind::kInvalidState);
  const auto request = make_request("status", "");
  ASSERT_TRUE(request);
  EXPECT_TRUE(call(path_, *request)) << "the first server still answers";
}

TEST_F(Control, AStaleSocketIsReplaced) {
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  const auto server = start();
  const auto request = make_request("status", "");
  ASSERT_TRUE(request);
  EXPECT_TRUE(call(path_, *request));
}

TEST_F(Control, AFileThatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(refusal(), ErrorKind::kUsage);
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(Control, ALinkIsNotFollowed) {
  ASSERT_EQ(::symlink("/nonexistent/target", path_.c_str()), 0);
  EXPECT_EQ(refusal(), ErrorKind::kUsage);
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
}

TEST_F(Control, AMissingDirectoryAndALongPathAreSaidPlainly) {
  path_ = directory_.file("no/ctl");
  EXPECT_EQ(refusal(), ErrorKind::kIo);
  path_ = directory_.file(std::string(120, 'x'));
  EXPECT_EQ(refusal(), ErrorKind::kUsage);
}

TEST_F(Control, OfTwoServersThatStartTogetherOneWins) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::future<bool>> starts;
    std::atomic<int> running{0};
    for (int i = 0; i < 4; ++i) {
      starts.push_back(std::async(std::launch::async, [&] {
        const auto server = ControlServer::start(path_, handler_);
        if (!server) return server.error().kind() != ErrorKind::kInvalidState;
        const bool alone = ++running == 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        --running;
        return !alone;
      }));
    }
    for (auto& failed : starts) EXPECT_FALSE(failed.get());
  }
}

TEST_F(Control, TheSocketIsRemovedAtTheEnd) {
  { const auto server = start(); }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(path_)));
}

TEST_F(Control, ASocketThatIsNoLongerOursStays) {
  auto server = start();
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const auto successor = start();
  server.reset();
  EXPECT_TRUE(std::filesystem::is_socket(path_));
  const auto request = make_request("status", "");
  ASSERT_TRUE(request);
  EXPECT_TRUE(call(path_, *request));
}

/// Holds on to one request until the test lets go.
class SlowHandler : public CommandHandler {
 public:
  Result<json> handle(const Request&, UniqueFd) override {
    entered.set_value();
    release.get_future().wait();
    return json{{"state", "ended"}};
  }
  std::promise<void> entered;
  std::promise<void> release;
};

TEST_F(Control, TheReplyToTheCommandThatEndsTheMachineIsDelivered) {
  SlowHandler slow;
  auto server = ControlServer::start(path_, slow);
  ASSERT_TRUE(server);
  RawClient client(path_);
  ASSERT_TRUE(client.send(encode({1, Command::kQuit, ""})));
  slow.entered.get_future().wait();
  std::thread stopper([&] { server->reset(); });
  slow.release.set_value();
  EXPECT_EQ(client.receive()["result"]["state"], "ended");
  stopper.join();
}

TEST_F(Control, AClientWithATimeoutDoesNotWaitForEver) {
  SlowHandler slow;
  const auto server = ControlServer::start(path_, slow);
  ASSERT_TRUE(server);
  const auto request = make_request("status", "");
  ASSERT_TRUE(request);
  const auto result = call(path_, *request, std::chrono::milliseconds(50));
  slow.release.set_value();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kIo);
  EXPECT_NE(result.error().message().find("in time"), std::string::npos);
  EXPECT_EQ(result.error().file(), path_);
}

TEST_F(Control, ASocketNobodyListensOnIsSaidPlainly) {
  const auto request = make_request("status", "");
  ASSERT_TRUE(request);
  const auto result = call(path_, *request);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kIo);
  EXPECT_NE(result.error().message().find("no machine listens"), std::string::npos);
}

}  // namespace
}  // namespace vmsnap::vmm
