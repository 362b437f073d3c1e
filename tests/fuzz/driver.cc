// SPDX-License-Identifier: BSD-2-Clause
// Runs a fuzz target without a fuzzing engine: every file given, and mutations of each that depend on nothing
// but the file, the seed and their number. A crash or a sanitizer report ends the program; with --keep PATH
// the input that caused it is in PATH.
//
//   target [--mutations N] [--seed S] [--seconds T] [--keep PATH] FILE...
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Options {
  std::uint64_t mutations = 1000;  // of each file
  std::uint64_t seed = 1;
  std::uint64_t seconds = 0;  // stop after this time; 0 is never
  std::string keep;
  std::vector<std::string> files;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      options.files.emplace_back(word);
      continue;
    }
    if (++i == argc) return false;
    const std::string_view value = argv[i];
    if (word == "--keep") {
      options.keep = value;
      continue;
    }
    std::uint64_t* number = word == "--mutations" ? &options.mutations
                            : word == "--seed"    ? &options.seed
                            : word == "--seconds" ? &options.seconds
                                                  : nullptr;
    if (number == nullptr) return false;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number);
    if (error != std::errc() || end != value.data() + value.size()) return false;
  }
  return !options.files.empty();
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  void mutate(Bytes& bytes) {
    for (auto rounds = 1 + below(4); rounds > 0; --rounds) mutate_once(bytes);
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void mutate_once(Bytes& bytes) {
    if (bytes.empty()) {
      bytes.push_back(static_cast<std::uint8_t>(random_()));
      return;
    }
    const std::size_t at = below(bytes.size());
    switch (below(8)) {
      case 0:
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ 1u << below(8));
        break;
      case 1:
        bytes[at] = static_cast<std::uint8_t>(random_());
        break;
      case 2:  // small steps hit the neighbours of lengths, offsets and enum values
        bytes[at] = static_cast<std::uint8_t>(bytes[at] + below(9) - 4);
        break;
      case 3:
        put_integer(bytes, at & ~std::size_t{3}, 4);
        break;
      case 4:
        put_integer(bytes, at & ~std::size_t{1}, 2);
        break;
      case 5:  // a word from elsewhere: offsets that lead to parts of another kind
        for (std::size_t i = 0, from = below(bytes.size()) & ~std::size_t{3}; i < 4; ++i) {
          const std::size_t to = (at & ~std::size_t{3}) + i;
          if (to < bytes.size() && from + i < bytes.size()) bytes[to] = bytes[from + i];
        }
        break;
      case 6:
        if (below(4) == 0) bytes.resize(at);
        break;
      case 7:
        if (below(4) == 0)
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + below(8), std::uint8_t{0});
        break;
    }
  }

  void put_integer(Bytes& bytes, std::size_t at, std::size_t size) {
    static constexpr std::uint32_t kInteresting[] = {0,       1,          2,          4,          0x7f,
                                                     0x80,    0xff,       0x7fff,     0x8000,     0xffff,
                                                     0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    const std::uint32_t value = below(3) == 0 ? static_cast<std::uint32_t>(below(2 * bytes.size()))
                                              : kInteresting[below(std::size(kInteresting))];
    for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i) {
      bytes[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
    }
  }

  std::mt19937_64 random_;
};

void run(const Options& options, const Bytes& input) {
  if (!options.keep.empty()) {
    std::ofstream(options.keep, std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  }
  // A copy of exactly this size, so that reading past its end is seen.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: %s [--mutations N] [--seed S] [--seconds T] [--keep PATH] FILE...\n",
                 argv[0]);
    return 2;
  }
  std::vector<Bytes> originals;
  for (const std::string& name : options.files) {
    std::ifstream file(name, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", name.c_str());
      return 1;
    }
    originals.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    run(options, originals.back());
  }
  const auto start = std::chrono::steady_clock::now();
  const auto time_is_up = [&] {
    return options.seconds != 0 &&
           std::chrono::steady_clock::now() - start >= std::chrono::seconds(options.seconds);
  };
  Mutator mutator(options.seed);
  std::uint64_t mutated = 0;
  for (std::uint64_t round = 0; round < options.mutations && !time_is_up(); ++round) {
    for (const Bytes& original : originals) {
      if (time_is_up()) break;
      Bytes input = original;
      mutator.mutate(input);
      run(options, input);
      ++mutated;
    }
  }
  std::printf("%zu files and %llu mutations were run\n", originals.size(),
              static_cast<unsigned long long>(mutated));
  return 0;
}
