// SPDX-License-Identifier: BSD-2-Clause
#include "devices/virtio_blk/disk_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace vmsnap::vmm {

namespace {

using Vectored = ssize_t (*)(int, const iovec*, int, off_t);

/// Moves all bytes of `buffers` with preadv or pwritev; 0 bytes moved is the end of the file.
Result<void> transfer(const File& file, std::uint64_t offset, std::span<const MutableByteView> buffers,
                      Vectored move, const char* what) {
  std::vector<iovec> vectors;
  vectors.reserve(buffers.size());
  for (const MutableByteView buffer : buffers) vectors.push_back({buffer.data(), buffer.size()});
  std::size_t done = 0;  // vectors moved wholly
  while (done < vectors.size()) {
    const auto count = static_cast<int>(std::min<std::size_t>(vectors.size() - done, IOV_MAX));
    const ssize_t moved = move(file.fd(), vectors.data() + done, count, static_cast<off_t>(offset));
    if (moved < 0) {
      if (errno == EINTR) continue;
      return io_error(what, errno).in_file(file.name()).at_offset(offset);
    }
    if (moved == 0) {
      return Error(ErrorKind::kTruncated,
                   "the disk image ends here; it has become shorter than when it was opened")
          .in_file(file.name())
          .at_offset(offset);
    }
    offset += static_cast<std::uint64_t>(moved);
    auto rest = static_cast<std::size_t>(moved);
    while (done < vectors.size() && rest >= vectors[done].iov_len) rest -= vectors[done++].iov_len;
    if (rest != 0) {
      vectors[done].iov_base = static_cast<std::byte*>(vectors[done].iov_base) + rest;
      vectors[done].iov_len -= rest;
    }
  }
  return {};
}

}  // namespace

Result<DiskImage> DiskImage::open(const std::string& path, bool read_only) {
  VMSNAP_ASSIGN_OR_RETURN(File file, read_only ? File::open_for_reading(path) : File::open_for_writing(path));
  struct flock lock = {};
  lock.l_type = static_cast<short>(read_only ? F_RDLCK : F_WRLCK);
  lock.l_whence = SEEK_SET;  // start 0, length 0: the whole file, whatever its size
  if (::fcntl(file.fd(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      return Error(
                 ErrorKind::kIo,
                 read_only
                     ? "the disk image is being written by another virtual machine; stop that one first, or "
                       "give another image"
                     : "the disk image is in use by another virtual machine; stop that one first, give "
                       "another "
                       "image, or share it read-only")
          .in_file(path);
    }
    return io_error("cannot lock the disk image", errno).in_file(path);
  }
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  if (size == 0 || size % kSectorSize != 0) {
    return Error(
               ErrorKind::kUsage,
               fmt::format(
                   "the disk image has {} bytes, which is not a whole number of sectors of {} bytes; give a "
                   "raw image",
                   size, kSectorSize))
        .in_file(path);
  }
  return DiskImage(std::move(file), size, read_only);
}

Result<void> DiskImage::read(std::uint64_t offset, std::span<const MutableByteView> buffers) const {
  return transfer(file_, offset, buffers, ::preadv, "cannot read the disk image");
}

Result<void> DiskImage::write(std::uint64_t offset, std::span<const MutableByteView> buffers) const {
  return transfer(file_, offset, buffers, ::pwritev, "cannot write the disk image");
}

}  // namespace vmsnap::vmm
