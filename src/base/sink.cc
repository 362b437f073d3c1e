// SPDX-License-Identifier: BSD-2-Clause
#include "base/sink.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace vmsnap {
namespace {

constexpr std::uint64_t kFlushWindow = 32u << 20;
constexpr std::uint64_t kCopyPiece = 1u << 20;

/// True for what copy_file_range(2) answers when these two files are not for it.
bool must_be_read(int errno_value) {
  return errno_value == EXDEV || errno_value == EINVAL || errno_value == EOPNOTSUPP || errno_value == ENOSYS;
}

}  // namespace

Error Sink::failure(int errno_value) const {
  return io_error("cannot write", errno_value);
}

Result<void> Sink::write(std::span<const ByteView> pieces) {
  std::array<iovec, IOV_MAX> vector;
  std::size_t next = 0;       // piece to go on with
  std::size_t next_byte = 0;  // in that piece
  while (true) {
    std::size_t count = 0;
    for (std::size_t i = next; i < pieces.size() && count < vector.size(); ++i) {
      const ByteView rest = pieces[i].subspan(i == next ? next_byte : 0);
      if (rest.empty()) continue;
      // writev(2) only reads.
      vector[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
    }
    if (count == 0) return {};
    const ssize_t taken = write_some({vector.data(), count});
    if (taken < 0) {
      if (errno == EINTR) continue;
      return std::move(failure(errno).in_file(name()).at_offset(position_));
    }
    position_ += static_cast<std::uint64_t>(taken);
    auto left = static_cast<std::size_t>(taken);
    while (next < pieces.size() && left >= pieces[next].size() - next_byte) {
      left -= pieces[next].size() - next_byte;
      next_byte = 0;
      ++next;
    }
    next_byte += left;
  }
}

Result<void> Sink::skip(std::uint64_t size) {
  if (has_holes()) {
    position_ += size;
    return {};
  }
  static constexpr std::array<std::byte, 64 << 10> kZeros{};
  while (size > 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(size, kZeros.size());
    VMSNAP_RETURN_IF_ERROR(write(ByteView(kZeros).first(piece)));
    size -= piece;
  }
  return {};
}

Result<void> Sink::copy(const File& from, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t end = offset + size;
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t file_size, from.size());
  if (end > file_size || end < offset) {
    return Error(ErrorKind::kTruncated, "the file has become shorter while it was copied")
        .in_file(from.name())
        .at_offset(file_size);
  }
  bool by_reading = false;
  ByteVector buffer;
  while (offset < end) {
    VMSNAP_ASSIGN_OR_RETURN(const auto data, from.next_data(offset, end));
    const std::uint64_t begin = data ? data->begin : end;
    VMSNAP_RETURN_IF_ERROR(skip(begin - offset));
    offset = begin;
    while (data && offset < data->end) {
      const ssize_t taken = by_reading ? 0 : copy_some(from, offset, data->end - offset);
      if (taken > 0) {
        position_ += static_cast<std::uint64_t>(taken);
        offset += static_cast<std::uint64_t>(taken);
        continue;
      }
      if (taken < 0 && errno == EINTR) continue;
      if (taken < 0 && !must_be_read(errno)) {
        return std::move(failure(errno).in_file(name()).at_offset(position_));
      }
      // Reading also says what is wrong when nothing was taken because `from` ends here.
      by_reading = true;
      buffer.resize(std::min(kCopyPiece, data->end - offset));
      VMSNAP_RETURN_IF_ERROR(from.read_at(offset, buffer));
      VMSNAP_RETURN_IF_ERROR(write(buffer));
      offset += buffer.size();
    }
  }
  return {};
}

ssize_t Sink::copy_some(const File& /*from*/, std::uint64_t /*offset*/, std::uint64_t /*size*/) {
  errno = EOPNOTSUPP;
  return -1;
}

ssize_t FileSink::copy_some(const File& from, std::uint64_t offset, std::uint64_t size) {
  auto in = static_cast<off_t>(offset);
  auto out = static_cast<off_t>(position());
  return ::copy_file_range(from.fd(), &in, file_.fd(), &out, std::min<std::uint64_t>(size, 1u << 30), 0);
}

ssize_t FileSink::write_some(std::span<const iovec> pieces) {
  const ssize_t taken =
      ::pwritev(file_.fd(), pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(position()));
  if (taken <= 0) return taken;
  // Keeps the disk busy while we go on, instead of leaving everything to the fsync at the end. A hint: where
  // it is not understood, nothing is lost.
  const std::uint64_t end = position() + static_cast<std::uint64_t>(taken);
  if (end - flushed_ >= kFlushWindow) {
    ::sync_file_range(file_.fd(), static_cast<off_t>(flushed_), static_cast<off_t>(end - flushed_),
                      SYNC_FILE_RANGE_WRITE);
    flushed_ = end;
  }
  return taken;
}

}  // namespace vmsnap
