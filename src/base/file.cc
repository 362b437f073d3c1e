// SPDX-License-Identifier: BSD-2-Clause
#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace vmsnap {
namespace {

Result<UniqueFd> open_file(const std::string& path, int flags, std::string_view purpose) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return io_error(fmt::format("cannot open it for {}", purpose), errno).in_file(path);
  return fd;
}

/// True for what FICLONERANGE answers, before it changes anything, when these two files are not for it.
bool cannot_share(int errno_value) {
  switch (errno_value) {
    case EINVAL:
    case ENOSYS:
    case ENOTTY:
    case EOPNOTSUPP:
    case EPERM:
    case ETXTBSY:
    case EXDEV:
      return true;
    default:
      return false;
  }
}

}  // namespace

Error File::fail(std::string_view operation, int errno_value) const {
  return io_error(fmt::format("cannot {}", operation), errno_value).in_file(name_);
}

Error File::ends_early(std::uint64_t offset, std::uint64_t missing) const {
  return Error(
             ErrorKind::kTruncated,
             fmt::format("the file ends here, but {} more bytes are needed; the copy is incomplete", missing))
      .in_file(name_)
      .at_offset(offset);
}

Result<File> File::open_for_reading(const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDONLY, "reading"));
  return File(std::move(fd), path);
}

Result<File> File::open_for_writing(const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDWR, "reading and writing"));
  return File(std::move(fd), path);
}

File File::adopt(UniqueFd fd, std::string name) {
  return {std::move(fd), std::move(name)};
}

Result<std::uint64_t> File::size() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return fail("read its status", errno);
  if (S_ISBLK(status.st_mode)) {
    std::uint64_t bytes = 0;
    if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0)
      return fail("read the size of the block device", errno);
    return bytes;
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> File::read_at(std::uint64_t offset, MutableByteView out) const {
  std::uint64_t at = offset;
  while (!out.empty()) {
    const ssize_t count = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(at));
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail("read", errno).at_offset(at);
    }
    if (count == 0) return ends_early(at, out.size());
    at += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> File::read_at(std::uint64_t offset, std::span<const MutableByteView> places) const {
  std::array<iovec, IOV_MAX> vector;
  std::size_t filled = 0;  // of the first place
  while (!places.empty()) {
    std::size_t count = 0;
    std::uint64_t wanted = 0;
    for (const MutableByteView place : places.first(std::min(places.size(), vector.size()))) {
      const MutableByteView rest = place.subspan(count == 0 ? filled : 0);
      vector[count++] = {rest.data(), rest.size()};
      wanted += rest.size();
    }
    const ssize_t read =
        wanted == 0 ? 0
                    : ::preadv(fd_.get(), vector.data(), static_cast<int>(count), static_cast<off_t>(offset));
    if (read < 0) {
      if (errno == EINTR) continue;
      return fail("read", errno).at_offset(offset);
    }
    if (read == 0 && wanted > 0) return ends_early(offset, wanted);
    offset += static_cast<std::uint64_t>(read);
    filled += static_cast<std::size_t>(read);
    while (!places.empty() && filled >= places.front().size()) {
      filled -= places.front().size();
      places = places.subspan(1);
    }
  }
  return {};
}

Result<void> File::write_at(std::uint64_t offset, ByteView bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail("write", errno).at_offset(offset);
    }
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<bool> File::share_at(std::uint64_t offset, const File& from, std::uint64_t from_offset,
                            std::uint64_t size) const {
  if (size == 0) return true;  // to the kernel, it would be all up to the end
  const file_clone_range range{from.fd(), from_offset, size, offset};
  while (::ioctl(fd_.get(), FICLONERANGE, &range) != 0) {
    if (errno == EINTR) continue;
    if (cannot_share(errno)) return false;
    return fail("share the disk space of " + from.name(), errno).at_offset(offset);
  }
  return true;
}

Result<void> File::truncate(std::uint64_t size) const {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return fail("set its size", errno);
  return {};
}

Result<void> File::sync_data() const {
  if (::fdatasync(fd_.get()) != 0) return fail("flush it to the disk", errno);
  return {};
}

Result<std::optional<FileRange>> File::next_data(std::uint64_t offset, std::uint64_t limit) const {
  if (offset >= limit) return std::optional<FileRange>{};
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) {
    if (errno == ENXIO) return std::optional<FileRange>{};
    if (errno == EINVAL) return std::optional<FileRange>{FileRange{offset, limit}};
    return fail("look for data", errno);
  }
  if (static_cast<std::uint64_t>(data) >= limit) return std::optional<FileRange>{};
  const off_t hole = ::lseek(fd_.get(), data, SEEK_HOLE);
  if (hole < 0) return fail("look for a hole", errno);
  return std::optional<FileRange>{
      FileRange{static_cast<std::uint64_t>(data), std::min(limit, static_cast<std::uint64_t>(hole))}};
}

}  // namespace vmsnap
