// SPDX-License-Identifier: BSD-2-Clause
#include "streamed.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

namespace vmsnap::test {
namespace {

/// The end to read from and the end to write to.
std::pair<UniqueFd, UniqueFd> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

ByteVector read_all(UniqueFd fd) {
  ByteVector bytes;
  while (true) {
    const std::size_t size = bytes.size();
    bytes.resize(size + (1u << 16));
    const ssize_t count = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (count < 0) std::abort();
    bytes.resize(size + static_cast<std::size_t>(count));
    if (count == 0) return bytes;
  }
}

}  // namespace

void through_pipe(ByteView bytes, const std::function<void(StreamSource& source)>& use) {
  auto [out, in] = make_pipe();
  std::optional<StreamSource> source(std::in_place, std::move(out), "pipe");
  std::thread writer([bytes, fd = std::move(in)]() mutable {
    StreamSink sink(std::move(fd), "pipe");
    // A reader that has seen enough goes away, which is its good right.
    [[maybe_unused]] const auto written = sink.write(bytes);
  });
  use(*source);
  source.reset();
  writer.join();
}

Result<StreamedSnapshot> read_through_pipe(ByteView bytes, const PassOptions& pass, bool allow_recovered) {
  std::optional<Result<StreamedSnapshot>> result;
  through_pipe(bytes, [&](StreamSource& source) {
    result.emplace(read_snapshot_stream(source, pass, allow_recovered));
  });
  return *std::move(result);
}

Result<CopyReport> copy_through_pipe(ByteView bytes, const std::string& to,
                                     const SnapshotWriteOptions& options) {
  std::optional<Result<CopyReport>> result;
  through_pipe(bytes, [&](StreamSource& source) { result.emplace(copy_stream(source, to, options)); });
  return *std::move(result);
}

Result<CopyReport> copy_through_pipes(ByteView bytes, ByteVector& to, const SnapshotWriteOptions& options) {
  std::optional<Result<CopyReport>> result;
  auto [out, in] = make_pipe();
  std::thread reader([&to, fd = std::move(out)]() mutable { to = read_all(std::move(fd)); });
  {
    StreamSink sink(std::move(in), "other pipe");
    through_pipe(bytes, [&](StreamSource& source) { result.emplace(copy_stream(source, sink, options)); });
  }
  reader.join();
  return *std::move(result);
}

}  // namespace vmsnap::test
