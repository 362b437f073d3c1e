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
