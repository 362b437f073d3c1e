// SPDX-License-Identifier: BSD-2-Clause
// Our side of bench/qemu_compare: holds an image as guest memory and saves it when told to.
//
//   save_image IMAGE TARGET flat|extents
//
// Prints "ready", waits for a line, writes TARGET, prints "done BYTES_OF_DATA". Like a migration of QEMU,
// this ends when everything is written, and does not wait for the disk.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "guest_memory.h"

namespace vmsnap {
namespace {

Result<Mapping> load(const std::string& image) {
  VMSNAP_ASSIGN_OR_RETURN(const File file, File::open_for_reading(image));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  VMSNAP_ASSIGN_OR_RETURN(Mapping memory, Mapping::anonymous(size));
  // As QEMU does for the memory of its guests.
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  VMSNAP_RETURN_IF_ERROR(file.read_at(0, memory.bytes()));
  return memory;
}

Result<void> run(const std::string& image, const std::string& target, RamEncoding encoding) {
  VMSNAP_ASSIGN_OR_RETURN(const Mapping memory, load(image));
  const SnapshotContents contents = bench::contents_of(memory.bytes());
  SnapshotWriteOptions options;
  options.encoding = encoding;
  options.pass.threads = 2;
  fmt::print("ready\n");
  std::fflush(stdout);
  if (std::getchar() == EOF) return Error(ErrorKind::kUsage, "nobody said when to begin");
  const File file =
      File::adopt(UniqueFd(::open(target.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)), target);
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotSummary summary, write_snapshot(file, contents, {}, options));
  fmt::print("done {}\n", summary.ram_data_bytes);
  std::fflush(stdout);
  return {};
}

}  // namespace
}  // namespace vmsnap

int main(int argc, char** argv) {
  const std::string_view encoding = argc == 4 ? argv[3] : "";
  if (encoding != "flat" && encoding != "extents") {
    fmt::print(stderr, "usage: save_image IMAGE TARGET flat|extents\n");
    return 2;
  }
  const auto done = vmsnap::run(
      argv[1], argv[2], encoding == "flat" ? vmsnap::RamEncoding::kFlat : vmsnap::RamEncoding::kExtents);
  if (done) return 0;
  fmt::print(stderr, "save_image: {}\n", done.error().to_string());
  return 1;
}
