// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>

namespace vmsnap::snaptool {

Result<void> check_path(const std::string& path) {
  if (path == "-") {
    return Error(
        ErrorKind::kUsage,
        "\"-\" is not supported, since a snapshot is not read front to back; save it to a file and name that "
        "(a file of this name is ./-)");
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return io_error("cannot open it", errno).in_file(path);
  if (S_ISDIR(status.st_mode)) {
    return Error(ErrorKind::kIo, "this is a directory; name a snapshot file").in_file(path);
  }
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return Error(ErrorKind::kIo,
                 "this is a pipe or a device, which cannot be read at random; save it to a file first")
        .in_file(path);
  }
  return {};
}

Result<SnapshotReader> open_snapshot(const std::string& path, ReadLevel level) {
  VMSNAP_RETURN_IF_ERROR(check_path(path));
  return SnapshotReader::open(path,
                              {.level = level, .allow_unknown_critical = true, .allow_recovered = true});
}

std::uint64_t memory_size(const SnapshotReader& reader) {
  std::uint64_t bytes = 0;
  for (const MemorySegment& segment : reader.memory_map().segments) {
    bytes = segment.size > UINT64_MAX - bytes ? UINT64_MAX : bytes + segment.size;
  }
  return bytes;
}

std::int64_t now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

Result<std::uint64_t> allocated_size(const File& file) {
  constexpr std::uint64_t kBlock = 512;  // unit of st_blocks, whatever the file system's own is
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return io_error("cannot read its status", errno).in_file(file.name());
  return static_cast<std::uint64_t>(status.st_blocks) * kBlock;
}

}  // namespace vmsnap::snaptool
