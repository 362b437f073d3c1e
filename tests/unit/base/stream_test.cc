// SPDX-License-Identifier: BSD-2-Clause
#include "base/stream.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <csignal>
#include <numeric>
#include <thread>

#include "temp_dir.h"

namespace vmsnap {
namespace {

using ::testing::HasSubstr;

struct Ends {
  UniqueFd read;
  UniqueFd write;
};

Ends make_pipe(int flags = 0) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC | flags), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Ends make_socket_pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

ByteVector numbered_bytes(std::size_t size) {
  ByteVector bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + (i >> 8));
  return bytes;
}

/// The two ends of a connection over the loopback interface. A reader that closes its end resets it, as the
/// kernel does for a program that dies with unread data.
Ends make_tcp_connection() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(listener.get(), generic, size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
  UniqueFd from(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(from.get(), generic, size), 0);
  UniqueFd to(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const linger reset_at_once{1, 0};
  EXPECT_EQ(::setsockopt(to.get(), SOL_SOCKET, SO_LINGER, &reset_at_once, sizeof(reset_at_once)), 0);
  return {std::move(to), std::move(from)};
}

struct Kind {
  const char* name;
  Ends (*make)();
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class StreamOver : public ::testing::TestWithParam<Kind> {
 protected:
  static Ends make() { return GetParam().make(); }
};

INSTANTIATE_TEST_SUITE_P(PipesAndSockets, StreamOver,
                         ::testing::Values(Kind{"Pipe", [] { return make_pipe(); }},
                                           Kind{"UnixSocket", make_socket_pair},
                                           Kind{"Tcp", make_tcp_connection}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(StreamOver, CarriesManyPiecesOfAllSizesInOrder) {
  Ends ends = make();
  const ByteVector bytes = numbered_bytes(3'000'000);
  std::vector<ByteView> pieces;
  for (std::size_t at = 0, size = 0; at < bytes.size(); at += size, size = (size * 3 + 1) % 5000) {
    size = std::min(size, bytes.size() - at);
    pieces.push_back(ByteView(bytes).subspan(at, size));
  }
  ASSERT_GT(pieces.size(), 1100u);
  std::thread writer([&, fd = std::move(ends.write)]() mutable {
    StreamSink sink(std::move(fd), "out");
    EXPECT_TRUE(sink.write(pieces));
    EXPECT_EQ(sink.position(), bytes.size());
  });
  StreamSource source(std::move(ends.read), "in");
  ByteVector got(bytes.size());
  std::vector<MutableByteView> places;
  for (std::size_t at = 0, size = 0; at < got.size(); at += size, size = (size * 5 + 1) % 3000) {
    size = std::min(size, got.size() - at);
    places.push_back(MutableByteView(got).subspan(at, size));
  }
  const auto read = source.read(places);
  writer.join();
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(got == bytes);
  EXPECT_EQ(source.position(), bytes.size());
  std::byte more{};
  const auto end = source.read_up_to({&more, 1});
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, 0u);
}

TEST_P(StreamOver, SkippedBytesArriveAsZeros) {
  Ends ends = make();
  std::thread writer([fd = std::move(ends.write)]() mutable {
    StreamSink sink(std::move(fd), "out");
    EXPECT_TRUE(sink.skip(200'000));
    EXPECT_EQ(sink.position(), 200'000u);
    EXPECT_EQ(sink.seekable(), nullptr);
  });
  StreamSource source(std::move(ends.read), "in");
  ByteVector got(200'000, std::byte{1});
  const auto read = source.read(got);
  writer.join();
  ASSERT_TRUE(read);
  EXPECT_TRUE(is_all_zero(got));
}

TEST_P(StreamOver, AReaderThatIsGoneIsOneErrorAndNoSignal) {
  Ends ends = make();
  ends.read.reset();
  StreamSink sink(std::move(ends.write), "out");
  // The default action of SIGPIPE, which the test program has, would end it.
  for (int i = 0; i < 2; ++i) {
    const auto written = sink.write(numbered_bytes(10));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind(), ErrorKind::kIo);
    EXPECT_EQ(written.error().file(), "out");
    EXPECT_EQ(written.error().offset(), 0u);
    EXPECT_THAT(written.error().message(), HasSubstr("has gone away"));
  }
  sigset_t mask;
  sigset_t pending;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST_P(StreamOver, AReaderThatLeavesInTheMiddleIsAnErrorWithThePlace) {
  Ends ends = make();
  std::thread reader([fd = std::move(ends.read)]() mutable {
    StreamSource source(std::move(fd), "in");
    ByteVector got(300'000);
    EXPECT_TRUE(source.read(got));
  });
  StreamSink sink(std::move(ends.write), "out");
  const auto written = sink.write(numbered_bytes(50'000'000));
  reader.join();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kIo);
  EXPECT_GE(*written.error().offset(), 300'000u);
  EXPECT_THAT(written.error().message(), HasSubstr("has gone away"));
}

TEST_P(StreamOver, AStreamThatEndsTooSoonIsTruncatedAtItsEnd) {
  Ends ends = make();
  {
    StreamSink sink(std::move(ends.write), "out");
    ASSERT_TRUE(sink.write(numbered_bytes(100)));
  }
  StreamSource source(std::move(ends.read), "in");
  ByteVector first(60);
  ASSERT_TRUE(source.read(first));
  ByteVector rest(60);
  const auto read = source.read(rest);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kTruncated);
  EXPECT_EQ(read.error().offset(), 100u);
  EXPECT_EQ(read.error().file(), "in");
}

TEST_P(StreamOver, AReaderWhoseWriterStallsCanBeCancelled) {
  Ends ends = make();
  const auto sent = numbered_bytes(1000);
  ASSERT_EQ(::write(ends.write.get(), sent.data(), sent.size()), 1000);
  std::atomic<int> asked{0};
  StreamSource source(std::move(ends.read), "in", [&asked] { return ++asked >= 4; });
  ByteVector got(2000);
  const auto read = source.read(got);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kInvalidState);
  EXPECT_EQ(read.error().offset(), 1000u);
  EXPECT_EQ(asked, 4);
}

TEST_P(StreamOver, AReaderThatCanBeCancelledReadsToTheEnd) {
  Ends ends = make();
  std::thread writer([fd = std::move(ends.write)]() mutable {
    StreamSink sink(std::move(fd), "out");
    EXPECT_TRUE(sink.write(numbered_bytes(500'000)));
  });
  StreamSource source(std::move(ends.read), "in", [] { return false; });
  ByteVector got(500'001);
  const auto size = source.read_up_to(got);
  writer.join();
  ASSERT_TRUE(size);
  got.resize(*size);
  EXPECT_EQ(got, numbered_bytes(500'000));
}

TEST_P(StreamOver, AWriterWhoseReaderStallsCanBeCancelled) {
  Ends ends = make();
  std::atomic<int> asked{0};
  StreamSink sink(std::move(ends.write), "out", [&asked] { return ++asked >= 3; });
  const auto written = sink.write(numbered_bytes(10'000'000));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kInvalidState);
  EXPECT_EQ(asked, 3);
}

TEST(StreamSink, KeepsThePipeOfOthersAsBlockingAsItWas) {
  Ends ends = make_pipe();
  const UniqueFd shared(::dup(ends.write.get()));
  const StreamSink sink(std::move(ends.write), "out");
  EXPECT_EQ(::fcntl(shared.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(StreamSink, MakesAPipeLarger) {
  Ends ends = make_pipe();
  const StreamSink sink(std::move(ends.write), "out");
  EXPECT_EQ(::fcntl(ends.read.get(), F_GETPIPE_SZ), 1 << 20);
}

TEST(StreamSink, LeavesAPipeThatIsLargerAsItIs) {
  Ends ends = make_pipe();
  if (::fcntl(ends.write.get(), F_SETPIPE_SZ, 2 << 20) < 0) {
    GTEST_SKIP() << "pipes of 2 MiB take CAP_SYS_RESOURCE or a larger /proc/sys/fs/pipe-max-size";
  }
  const StreamSink sink(std::move(ends.write), "out");
  EXPECT_EQ(::fcntl(ends.read.get(), F_GETPIPE_SZ), 2 << 20);
}

TEST(StreamSink, LeavesASignalAloneThatWasThereBefore) {
  sigset_t pipe_signal;
  sigset_t before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before), 0);
  ASSERT_EQ(::pthread_kill(::pthread_self(), SIGPIPE), 0);
  Ends ends = make_pipe();
  ends.read.reset();
  StreamSink sink(std::move(ends.write), "out");
  EXPECT_FALSE(sink.write(numbered_bytes(1)));
  constexpr timespec kNow{};
  EXPECT_EQ(::sigtimedwait(&pipe_signal, nullptr, &kNow), SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
}

TEST(StreamSink, SaysThatADeviceIsFull) {
  StreamSink sink(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), "full");
  const auto written = sink.write(numbered_bytes(1));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kIo);
  EXPECT_THAT(written.error().to_string(), HasSubstr("No space left"));
}

TEST(StreamSink, WritesAFileFromWhereItsDescriptorStands) {
  const TempDir directory;
  const std::string path = directory.file("file");
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd same(::dup(fd.get()));
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  StreamSink sink(std::move(fd), path);
  ASSERT_TRUE(sink.write(as_byte_view("def", 3)));
  std::array<char, 7> got{};
  ASSERT_EQ(::pread(same.get(), got.data(), 7, 0), 6);
  EXPECT_STREQ(got.data(), "abcdef");
}

TEST(StreamSource, WaitsForANonBlockingWriter) {
  Ends ends = make_pipe(O_NONBLOCK);
  std::thread writer([fd = std::move(ends.write)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    StreamSink sink(std::move(fd), "out");
    EXPECT_TRUE(sink.write(numbered_bytes(500'000)));
  });
  StreamSource source(std::move(ends.read), "in");
  ByteVector got(500'000);
  const auto read = source.read(got);
  writer.join();
  EXPECT_TRUE(read);
  EXPECT_TRUE(got == numbered_bytes(500'000));
}

TEST(StreamSource, GoesOnAfterASignal) {
  Ends ends = make_pipe();
  struct sigaction interrupting {};
  struct sigaction before {};
  interrupting.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &interrupting, &before), 0);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    StreamSource source(std::move(ends.read), "in");
    ByteVector got(8);
    EXPECT_TRUE(source.read(got));
    done = true;
  });
  for (int i = 0; i < 20; ++i) {
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_FALSE(done);
  ASSERT_EQ(::write(ends.write.get(), "12345678", 8), 8);
  reader.join();
  EXPECT_TRUE(done);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(StreamSource, SaysWhatItCannotRead) {
  StreamSource source(UniqueFd(::open("/", O_RDONLY | O_CLOEXEC)), "folder");
  ByteVector got(8);
  const auto read = source.read(got);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(read.error().file(), "folder");
}

}  // namespace
}  // namespace vmsnap
