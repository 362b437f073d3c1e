// SPDX-License-Identifier: BSD-2-Clause
// The RAM path against the plainest program that moves the same bytes. bench/run_bench prints the ratios.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>
#include <random>
#include <string>

#include "base/atomic_file.h"
#include "base/mapping.h"
#include "ram/flat_ram_writer.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap {
namespace {

constexpr std::size_t kRamSize = std::size_t{512} << 20;
constexpr std::size_t kPage = 4096;

/// Memory as guests have it: runs of data between runs of zero pages, about half and half.
const Mapping& guest_like_memory() {
  static const Mapping memory = [] {
    auto mapping = Mapping::anonymous(kRamSize);
    if (!mapping) std::abort();
    ::madvise(mapping->data(), mapping->size(), MADV_HUGEPAGE);
    std::mt19937_64 random(1);
    std::size_t at = 0;
    while (at < kRamSize) {
      const std::size_t data = std::min(kRamSize - at, (1 + random() % 256) * kPage);
      for (std::size_t i = 0; i < data; i += 8)
        store_le<std::uint64_t>(mapping->bytes(), at + i, random() | 1);
      at += data + (random() % 256) * kPage;
    }
    return std::move(*mapping);
  }();
  return memory;
}

std::string target() {
  const char* folder = std::getenv("VMSNAP_BENCH_DIR");
  return std::string(folder == nullptr ? "/tmp" : folder) + "/vmsnap-bench";
}

AtomicFile fresh_file(benchmark::State& state) {
  auto file = AtomicFile::create(target());
  if (!file) {
    state.SkipWithError(file.error().to_string().c_str());
    std::abort();
  }
  return std::move(*file);
}

/// Baseline: non-zero pages by pwrite, in runs of up to 1 MiB, then fsync and rename; no hash, no format.
void write_plain(benchmark::State& state) {
  const ByteView memory = guest_like_memory().bytes();
  std::int64_t written = 0;
  for (auto _ : state) {
    AtomicFile file = fresh_file(state);
    written = 0;
    std::size_t at = 0;
    while (at < memory.size()) {
      std::size_t end = at;
      while (end < memory.size() && end - at < (1u << 20) && !is_all_zero(memory.subspan(end, kPage)))
        end += kPage;
      if (end == at) {
        at += kPage;
        continue;
      }
      if (!file.file().write_at(at, memory.subspan(at, end - at))) state.SkipWithError("write failed");
      written += static_cast<std::int64_t>(end - at);
      at = end;
    }
    if (!file.publish()) state.SkipWithError("publish failed");
  }
  ::unlink(target().c_str());
  state.SetBytesProcessed(state.iterations() * written);
}

/// Ours: the same bytes, with a hash of every extent, in the format.
void write_flat(benchmark::State& state) {
  std::int64_t written = 0;
  for (auto _ : state) {
    AtomicFile file = fresh_file(state);
    FileHeader header;
    header.body_align_shift = 21;
    FileSink sink(file.file());
    auto writer = ChunkWriter::begin(sink, header);
    if (!writer) state.SkipWithError("begin failed");
    const auto ram = write_flat_ram(*writer, 1, 0, {guest_like_memory().bytes(), true});
    if (!ram) state.SkipWithError(ram.error().to_string().c_str());
    written = static_cast<std::int64_t>(ram->data_bytes);
    if (!file.publish()) state.SkipWithError("publish failed");
  }
  ::unlink(target().c_str());
  state.SetBytesProcessed(state.iterations() * written);
}

/// A snapshot that restores read: one segment, no devices. Removed at the end of the benchmark.
class RestoreSource {
 public:
  RestoreSource() {
    SnapshotContents contents;
    contents.manifest.producer_name = "ram_bench";
    contents.manifest.producer_version = VMSNAP_VERSION;
    contents.memory_map.segments = {{0, "ram-low", SegmentKind::kSystemMemory, kRamSize}};
    contents.memory_map.mappings = {{0, 0, Gpa(0), kRamSize, false}};
    contents.segments = {{guest_like_memory().bytes(), true}};
    const auto written = write_snapshot(target(), contents, {});
    if (!written) {
      fmt::print(stderr, "ram_bench: {}\n", written.error().to_string());
      std::abort();
    }
  }
  RestoreSource(const RestoreSource&) = delete;
  RestoreSource& operator=(const RestoreSource&) = delete;
  ~RestoreSource() { ::unlink(target().c_str()); }
};

/// Baseline: read everything into fresh memory, as VMMs that do not map do.
void restore_by_read(benchmark::State& state) {
  const RestoreSource source;
  for (auto _ : state) {
    auto reader = SnapshotReader::open(target());
    const auto memory = Mapping::anonymous(kRamSize);
    ::madvise(memory->data(), memory->size(), MADV_HUGEPAGE);
    if (!reader->container().file().read_at(reader->segment_chunks(0).front()->body_offset(),
                                            memory->bytes())) {
      state.SkipWithError("read failed");
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kRamSize));
}

void restore_by_map(benchmark::State& state, bool verify) {
  const RestoreSource source;
  for (auto _ : state) {
    auto reader = SnapshotReader::open(target());
    const auto segment = reader->segment(0);
    if (!segment) {
      state.SkipWithError(segment.error().to_string().c_str());
      break;
    }
    const auto memory = segment->map();
    if (!memory || (verify && !verify_segment(*segment, memory->bytes(), {2})))
      state.SkipWithError("restore failed");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kRamSize));
}

/// Ours with --verify full.
void restore_full(benchmark::State& state) {
  restore_by_map(state, true);
}
/// Ours with --verify meta.
void restore_meta(benchmark::State& state) {
  restore_by_map(state, false);
}

BENCHMARK(write_plain)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(write_flat)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_by_read)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_full)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_meta)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace vmsnap

BENCHMARK_MAIN();
