// SPDX-License-Identifier: BSD-2-Clause
// Restoring guest memory, against the plainest program that reads the file.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/parallel.h"
#include "guest_memory.h"
#include "ram/lazy_memory.h"
#include "snapshot/snapshot_reader.h"

namespace vmsnap::bench {
namespace {

constexpr unsigned kThreads = 2;

/// A snapshot that restores read; removed at the end.
class Source {
 public:
  /// Only the first `data` bytes of `size` hold anything.
  explicit Source(std::size_t size, std::size_t data) : path_(bench_file("vmsnap-bench-restore")) {
    const Mapping memory = value_of(Mapping::anonymous(size));
    const Mapping used = guest_memory(data);
    std::copy_n(used.data(), data, memory.data());
    (void)value_of(write_snapshot(path_, contents_of(memory.bytes()), {}, {}));
  }
  explicit Source(std::size_t size) : Source(size, size) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { ::unlink(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr std::size_t kSize = std::size_t{512} << 20;

/// Baseline: what `cat FILE >/dev/null` does: every byte of the file from the page cache into one buffer.
void read_file(benchmark::State& state) {
  const Source source(kSize);
  ByteVector buffer(128u << 10);
  for (auto _ : state) {
    const File file = value_of(File::open_for_reading(source.path()));
    const std::uint64_t size = value_of(file.size());
    for (std::uint64_t at = 0; at < size; at += buffer.size()) {
      const std::uint64_t piece = std::min<std::uint64_t>(buffer.size(), size - at);
      expect_done(file.read_at(at, MutableByteView(buffer).first(piece)));
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kSize));
}

/// Ends what a restore has made. A guest keeps it while it runs: that is not timed.
template <typename T>
void give_back(benchmark::State& state, T made) {
  state.PauseTiming();
  { const T gone = std::move(made); }
  state.ResumeTiming();
}

Mapping fresh_memory() {
  Mapping memory = value_of(Mapping::anonymous(kSize));
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  return memory;
}

/// What any restore into fresh memory pays before it has read a byte: the kernel clears the pages.
void touch_fresh_memory(benchmark::State& state) {
  for (auto _ : state) {
    Mapping memory = fresh_memory();
    expect_done(parallel_for(kSize >> 21, 2, kThreads, [&] {
      return [&](std::uint64_t first, std::uint64_t last) -> Result<void> {
        for (std::uint64_t page = first; page < last; ++page) memory.data()[page << 21] = std::byte{1};
        return {};
      };
    }));
    give_back(state, std::move(memory));
  }
}

/// Into fresh memory in huge pages, every extent hashed there.
void restore_eager(benchmark::State& state) {
  const Source source(kSize);
  for (auto _ : state) {
    const SnapshotReader reader = value_of(SnapshotReader::open(source.path()));
    const SegmentReader segment = value_of(reader.segment(0));
    Mapping memory = fresh_memory();
    expect_done(load_segment(segment, memory.bytes(), true, {kThreads}));
    give_back(state, std::move(memory));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kSize));
}

/// Mapped, and every extent hashed through the mapping before anything runs.
void restore_map_verified(benchmark::State& state) {
  const Source source(kSize);
  for (auto _ : state) {
    const SnapshotReader reader = value_of(SnapshotReader::open(source.path()));
    const SegmentReader segment = value_of(reader.segment(0));
    Mapping memory = value_of(segment.map());
    expect_done(verify_segment(segment, memory.bytes(), {kThreads}));
    give_back(state, std::move(memory));
  }
}

/// Mapped, and nothing read but what describes the memory.
void map_only(benchmark::State& state, std::size_t size) {
  const Source source(size, kSize);
  for (auto _ : state) {
    const SnapshotReader reader = value_of(SnapshotReader::open(source.path()));
    const SegmentReader segment = value_of(reader.segment(0));
    (void)value_of(segment.map());
  }
}
void restore_map(benchmark::State& state) {
  map_only(state, std::size_t{1} << 30);
}
void restore_map_64_gib(benchmark::State& state) {
  map_only(state, std::size_t{64} << 30);
}

/// A lazy restore that has begun, and the memory it goes into.
struct LazyRestore {
  LazyRestore(const Source& source, const LazyOptions& options)
      : reader(std::make_shared<const SnapshotReader>(value_of(SnapshotReader::open(source.path())))),
        memory(value_of(Mapping::anonymous(kSize))) {
    std::vector<LazySegment> segments;
    segments.push_back({value_of(reader->segment(0)), memory.bytes()});
    lazy = value_of(LazyMemory::start(std::move(segments), reader, options));
  }

  std::shared_ptr<const SnapshotReader> reader;
  Mapping memory;
  std::unique_ptr<LazyMemory> lazy;
};

/// From the beginning of a lazy restore until all memory is there; nobody asks for any of it.
void restore_lazy(benchmark::State& state) {
  const Source source(kSize);
  for (auto _ : state) {
    LazyRestore restore(source, {});
    expect_done(restore.lazy->wait_filled(kThreads));
    give_back(state, std::move(restore));
  }
}

/// The same up to the moment at which a guest could run.
void restore_lazy_start(benchmark::State& state) {
  const Source source(kSize);
  LazyOptions options;
  options.fill_threads = 0;
  for (auto _ : state) {
    give_back(state, LazyRestore(source, options));
  }
}

BENCHMARK(read_file)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(touch_fresh_memory)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_eager)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_map_verified)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_lazy)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_lazy_start)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_map_64_gib)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_map)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace vmsnap::bench

BENCHMARK_MAIN();
