// SPDX-License-Identifier: BSD-2-Clause
#include "streamed.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <thread>

namespace vmsnap::test {

Result<StreamedSnapshot> read_through_pipe(ByteView bytes, const PassOptions& pass, bool allow_recovered) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
  std::optional<StreamSource> source(std::in_place, UniqueFd(fds[0]), "pipe");
  std::thread writer([bytes, fd = UniqueFd(fds[1])]() mutable {
    StreamSink sink(std::move(fd), "pipe");
    // A reader that has seen enough goes away, which is its good right.
    [[maybe_unused]] const auto written = sink.write(bytes);
  });
  auto result = read_snapshot_stream(*source, pass, allow_recovered);
  source.reset();
  writer.join();
  return result;
}

}  // namespace vmsnap::test
