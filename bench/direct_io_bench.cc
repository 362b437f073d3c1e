// SPDX-License-Identifier: BSD-2-Clause
// What is faster on this disk: writes through the page cache, or past it (O_DIRECT) from several threads,
// which keeps as many requests under way as an io_uring of that depth would. The same runs of memory, up to
// the fsync.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/parallel.h"
#include "guest_memory.h"

namespace vmsnap::bench {
namespace {

constexpr std::uint64_t kFlushWindow = 32u << 20;

/// Writes every run at its place in a fresh file and waits for the disk.
void write_runs(benchmark::State& state, int flags, unsigned threads, bool flush) {
  const std::vector<ByteView> runs = data_runs(memory_to_save().bytes());
  const std::string path = bench_file("vmsnap-bench-direct");
  const auto place = [](ByteView run) {
    return static_cast<std::uint64_t>(run.data() - memory_to_save().data());
  };
  for (auto _ : state) {
    ::unlink(path.c_str());
    const File file = File::adopt(
        UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600)), path);
    expect_done(file.truncate(memory_to_save().size()));
    expect_done(parallel_for(runs.size(), 1, threads, [&] {
      return
          [&, flushed = std::uint64_t{0}](std::uint64_t first, std::uint64_t last) mutable -> Result<void> {
            for (const ByteView run : std::span(runs).subspan(first, last - first)) {
              VMSNAP_RETURN_IF_ERROR(file.write_at(place(run), run));
              const std::uint64_t end = place(run) + run.size();
              if (!flush || end - flushed < kFlushWindow) continue;
              ::sync_file_range(file.fd(), static_cast<off_t>(flushed), static_cast<off_t>(end - flushed),
                                SYNC_FILE_RANGE_WRITE);
              flushed = end;
            }
            return {};
          };
    }));
    expect_done(file.sync_data());
  }
  ::unlink(path.c_str());
}

void cached(benchmark::State& state) {
  write_runs(state, 0, 1, true);
}
void direct_one(benchmark::State& state) {
  write_runs(state, O_DIRECT, 1, false);
}
void direct_four(benchmark::State& state) {
  write_runs(state, O_DIRECT, 4, false);
}
void direct_eight(benchmark::State& state) {
  write_runs(state, O_DIRECT, 8, false);
}

BENCHMARK(cached)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(direct_one)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(direct_four)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(direct_eight)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace vmsnap::bench

BENCHMARK_MAIN();
