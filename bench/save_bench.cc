// SPDX-License-Identifier: BSD-2-Clause
// Saving guest memory, against the plainest program that writes the same bytes.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "guest_memory.h"

namespace vmsnap::bench {
namespace {

std::int64_t data_bytes() {
  std::int64_t bytes = 0;
  for (const ByteView run : data_runs(memory_to_save().bytes()))
    bytes += static_cast<std::int64_t>(run.size());
  return bytes;
}

/// Baseline: pwrite of the same non-zero bytes in runs of up to 1 MiB that are known beforehand, then fsync
/// and rename. It neither looks for zero pages nor hashes.
void save_plain(benchmark::State& state) {
  const std::vector<ByteView> runs = data_runs(memory_to_save().bytes());
  const std::string path = bench_file("vmsnap-bench-save");
  for (auto _ : state) {
    AtomicFile file = value_of(AtomicFile::create(path));
    for (const ByteView run : runs) {
      expect_done(
          file.file().write_at(static_cast<std::uint64_t>(run.data() - memory_to_save().data()), run));
    }
    expect_done(file.publish());
  }
  ::unlink(path.c_str());
  state.SetBytesProcessed(state.iterations() * data_bytes());
}

void save(benchmark::State& state, const SnapshotWriteOptions& options) {
  const SnapshotContents contents = contents_of(memory_to_save().bytes());
  const std::string path = bench_file("vmsnap-bench-save");
  std::int64_t file_size = 0;
  for (auto _ : state) {
    file_size = static_cast<std::int64_t>(value_of(write_snapshot(path, contents, {}, options)).file_size);
  }
  ::unlink(path.c_str());
  state.SetBytesProcessed(state.iterations() * data_bytes());
  state.counters["file_size"] = static_cast<double>(file_size);
}

/// The whole way of a save to a file: zero pages found, every extent hashed, published.
void save_flat(benchmark::State& state) {
  SnapshotWriteOptions options;
  options.pass.threads = 2;
  save(state, options);
}
void save_flat_one_thread(benchmark::State& state) {
  save(state, {});
}

void save_as_extents(benchmark::State& state, Codec codec, unsigned threads) {
  SnapshotWriteOptions options;
  options.encoding = RamEncoding::kExtents;
  options.codec = codec;
  options.pass.threads = threads;
  save(state, options);
}
/// The same in the extents encoding, as streams have it.
void save_extents(benchmark::State& state) {
  save_as_extents(state, Codec::kNone, 2);
}
void save_extents_one_thread(benchmark::State& state) {
  save_as_extents(state, Codec::kNone, 1);
}
void save_lz4(benchmark::State& state) {
  save_as_extents(state, Codec::kLz4, 2);
}

BENCHMARK(save_plain)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(save_flat)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(save_flat_one_thread)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(save_extents)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(save_extents_one_thread)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(save_lz4)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace vmsnap::bench

BENCHMARK_MAIN();
