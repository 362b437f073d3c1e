// SPDX-License-Identifier: BSD-2-Clause
// Writes a snapshot, or the raw bytes, of memory as guests have it: for comparisons with other programs.
//
//   make_snapshot flat|extents|lz4 OUT SIZE_MIB [DATA_MIB]     only the first DATA_MIB hold anything
//   make_snapshot data OUT SIZE_MIB                            the pages that are not zero, and nothing else
//
// Prints how long the save took, in milliseconds.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/atomic_file.h"
#include "base/sink.h"
#include "guest_memory.h"

namespace vmsnap::bench {
namespace {

Mapping memory_of(std::size_t size, std::size_t data_size) {
  if (data_size == size) return guest_memory(size);
  Mapping memory = value_of(Mapping::anonymous(size));
  const Mapping data = guest_memory(data_size);
  std::memcpy(memory.data(), data.data(), data.size());
  return memory;
}

void save(const std::string& out, const std::string& form, ByteView memory) {
  SnapshotWriteOptions options;
  options.encoding = form == "flat" ? RamEncoding::kFlat : RamEncoding::kExtents;
  options.codec = form == "lz4" ? Codec::kLz4 : Codec::kNone;
  options.pass.threads = 2;
  (void)value_of(write_snapshot(out, contents_of(memory), {}, options));
}

void write_data(const std::string& out, ByteView memory) {
  AtomicFile file = value_of(AtomicFile::create(out));
  FileSink sink(file.file());
  expect_done(sink.write(data_runs(memory)));
  expect_done(file.publish());
}

int run(int argc, char** argv) {
  const std::string form = argc > 1 ? argv[1] : "";
  const bool known = form == "flat" || form == "extents" || form == "lz4" || form == "data";
  if (!known || argc < 4 || argc > 5) {
    fmt::print(stderr, "usage: make_snapshot flat|extents|lz4|data OUT SIZE_MIB [DATA_MIB]\n");
    return 2;
  }
  const std::size_t size = std::strtoull(argv[3], nullptr, 10) << 20;
  const std::size_t data = argc == 5 ? std::strtoull(argv[4], nullptr, 10) << 20 : size;
  const Mapping memory = memory_of(size, data);
  const auto begin = std::chrono::steady_clock::now();
  if (form == "data") {
    write_data(argv[2], memory.bytes());
  } else {
    save(argv[2], form, memory.bytes());
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{:.2f}\n", took.count());
  return 0;
}

}  // namespace
}  // namespace vmsnap::bench

int main(int argc, char** argv) {
  return vmsnap::bench::run(argc, argv);
}
