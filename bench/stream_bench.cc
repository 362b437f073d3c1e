// SPDX-License-Identifier: BSD-2-Clause
// Saving guest memory into a pipe or a socket that somebody reads, against the plainest program that sends
// the same bytes to the same reader.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/stream.h"
#include "guest_memory.h"

namespace vmsnap::bench {
namespace {

enum class Way { kPipe, kSocket };

/// A stream whose other end is read to its end, 256 KiB at a time into one buffer, by a thread.
class Stream {
 public:
  explicit Stream(Way way) {
    std::array<int, 2> ends{};  // to read from, to write into
    const int made =
        way == Way::kPipe ? ::pipe(ends.data()) : ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data());
    if (made != 0) fail(Error(ErrorKind::kIo, "there is no pipe or socket to be had"));
    input_.reset(ends[1]);
    reader_ = std::thread([output = UniqueFd(ends[0])] {
      ByteVector buffer(256u << 10);
      while (::read(output.get(), buffer.data(), buffer.size()) > 0) continue;
    });
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { reader_.join(); }

  /// The end to write into; the reader ends when it is closed.
  UniqueFd take_input() { return std::move(input_); }

 private:
  UniqueFd input_;
  std::thread reader_;
};

/// Baseline: write(2) of the runs of data, which are known beforehand, into the pipe or socket as it comes.
void send_plain(benchmark::State& state, Way way) {
  const std::vector<ByteView> runs = data_runs(memory_to_save().bytes());
  for (auto _ : state) {
    Stream stream(way);
    const UniqueFd input = stream.take_input();
    for (ByteView rest : runs) {
      while (!rest.empty()) {
        const ssize_t taken = ::write(input.get(), rest.data(), rest.size());
        if (taken <= 0) fail(Error(ErrorKind::kIo, "the reader has gone away"));
        rest = rest.subspan(static_cast<std::size_t>(taken));
      }
    }
  }
}

/// A whole snapshot, as `checkpoint -` sends it.
void send_snapshot(benchmark::State& state, Way way) {
  SnapshotWriteOptions options;
  options.encoding = RamEncoding::kExtents;
  options.pass.threads = 2;
  const SnapshotContents contents = contents_of(memory_to_save().bytes());
  for (auto _ : state) {
    Stream stream(way);
    StreamSink sink(stream.take_input(), "the bench's reader");
    (void)value_of(write_snapshot(sink, contents, {}, options));
  }
}

void pipe_plain(benchmark::State& state) {
  send_plain(state, Way::kPipe);
}
void pipe_snapshot(benchmark::State& state) {
  send_snapshot(state, Way::kPipe);
}
void socket_plain(benchmark::State& state) {
  send_plain(state, Way::kSocket);
}
void socket_snapshot(benchmark::State& state) {
  send_snapshot(state, Way::kSocket);
}

BENCHMARK(pipe_plain)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(pipe_snapshot)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(socket_plain)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(socket_snapshot)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace vmsnap::bench

BENCHMARK_MAIN();
