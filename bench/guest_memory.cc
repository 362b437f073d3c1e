// SPDX-License-Identifier: BSD-2-Clause
#include "guest_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.h"

namespace vmsnap::bench {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMaxRun = 1u << 20;

/// Bytes of the machine's own programs and libraries, over and over.
class Programs {
 public:
  Programs() {
    std::error_code ignored;
    for (const char* folder : {"/usr/bin", "/usr/lib/x86_64-linux-gnu"}) {
      for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        if (entry.is_regular_file(ignored) && entry.file_size(ignored) > 256 * kPage) {
          paths_.push_back(entry.path().string());
        }
      }
    }
    std::sort(paths_.begin(), paths_.end());
    if (paths_.empty()) fail(Error(ErrorKind::kIo, "there are no programs to take bytes from"));
  }

  void fill(MutableByteView out) {
    while (!out.empty()) {
      if (at_ >= bytes_.size()) next_file();
      const std::size_t size = std::min(out.size(), bytes_.size() - at_);
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
      at_ += size;
      out = out.subspan(size);
    }
  }

 private:
  void next_file() {
    const File file = value_of(File::open_for_reading(paths_[next_++ % paths_.size()]));
    bytes_.resize(value_of(file.size()));
    expect_done(file.read_at(0, bytes_));
    at_ = 0;
  }

  std::vector<std::string> paths_;
  std::size_t next_ = 0;
  ByteVector bytes_;
  std::size_t at_ = 0;
};

}  // namespace

void fail(const Error& error) {
  fmt::print(stderr, "bench: {}\n", error.to_string());
  std::exit(1);
}

Mapping guest_memory(std::size_t size) {
  Mapping memory = value_of(Mapping::anonymous(size));
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  Programs programs;
  std::mt19937_64 random(1);
  for (std::size_t at = 0; at < size;) {
    const std::size_t data = std::min(size - at, (1 + random() % 256) * kPage);
    programs.fill(memory.bytes().subspan(at, data));
    at += data;
    const std::size_t zero = std::min(size - at, (random() % 256) * kPage);
    std::fill_n(memory.data() + at, zero, std::byte{0});
    at += zero;
  }
  return memory;
}

const Mapping& memory_to_save() {
  static const Mapping mapping = guest_memory(std::size_t{512} << 20);
  return mapping;
}

std::vector<ByteView> data_runs(ByteView memory) {
  std::vector<ByteView> runs;
  for (std::size_t at = 0; at < memory.size();) {
    std::size_t end = at;
    while (end < memory.size() && end - at < kMaxRun && !is_all_zero(memory.subspan(end, kPage)))
      end += kPage;
    if (end > at) runs.push_back(memory.subspan(at, end - at));
    at = std::max(end, at + kPage);
  }
  return runs;
}

SnapshotContents contents_of(ByteView memory) {
  SnapshotContents contents;
  contents.manifest.producer_name = "vmsnap-bench";
  contents.manifest.producer_version = VMSNAP_VERSION;
  contents.memory_map.segments = {{0, "ram-low", SegmentKind::kSystemMemory, memory.size()}};
  contents.memory_map.mappings = {{0, 0, Gpa(0), memory.size(), false}};
  contents.segments = {{memory, true}};
  return contents;
}

std::string bench_file(const std::string& name) {
  const char* folder = std::getenv("VMSNAP_BENCH_DIR");
  return std::string(folder == nullptr ? "/tmp" : folder) + "/" + name;
}

}  // namespace vmsnap::bench
