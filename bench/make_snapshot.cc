// SPDX-License-Identifier: BSD-2-Clause
// Writes a snapshot, or the raw bytes, of memory as guests have it: for comparisons with other programs.
//
//   make_snapshot OUT SIZE_MIB [DATA_MIB]      a flat snapshot; only the first DATA_MIB hold anything
//   make_snapshot --raw OUT SIZE_MIB           the bytes alone
//
// Prints how long the save took, in milliseconds.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/atomic_file.h"
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

int run(int argc, char** argv) {
  const bool raw = argc > 1 && std::string(argv[1]) == "--raw";
  const int first = raw ? 2 : 1;
  if (argc < first + 2 || argc > first + 3) {
    fmt::print(stderr, "usage: make_snapshot [--raw] OUT SIZE_MIB [DATA_MIB]\n");
    return 2;
  }
  const std::string out = argv[first];
  const std::size_t size = std::strtoull(argv[first + 1], nullptr, 10) << 20;
  const std::size_t data = argc > first + 2 ? std::strtoull(argv[first + 2], nullptr, 10) << 20 : size;
  const Mapping memory = memory_of(size, data);
  const auto begin = std::chrono::steady_clock::now();
  if (raw) {
    AtomicFile file = value_of(AtomicFile::create(out));
    expect_done(file.file().write_at(0, memory.bytes()));
    expect_done(file.publish());
  } else {
    (void)value_of(write_snapshot(out, contents_of(memory.bytes()), {}));
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
