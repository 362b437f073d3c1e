// SPDX-License-Identifier: BSD-2-Clause
// Where bytes are written to front to back: a file, or something that has no offsets (base/stream.h).
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace vmsnap {

/// A place for bytes in order. Not thread-safe.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  /// How errors call it.
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// Number of bytes that have gone in: the offset of the next one.
  [[nodiscard]] std::uint64_t position() const { return position_; }

  /// Appends the pieces in order, straight from where they are. Errors: Io, with the offset.
  [[nodiscard]] Result<void> write(std::span<const ByteView> pieces);
  [[nodiscard]] Result<void> write(ByteView bytes) { return write(std::span<const ByteView>(&bytes, 1)); }
  /// Appends `size` zero bytes, as a hole where the sink has holes. Errors: Io.
  [[nodiscard]] Result<void> skip(std::uint64_t size);

  /// Appends `size` bytes of `from`, from `offset` on; its holes are skipped. Where both are files of a file
  /// system that can share extents, nothing is copied. Errors: Io; Truncated (`from` ends before that).
  [[nodiscard]] Result<void> copy(const File& from, std::uint64_t offset, std::uint64_t size);

  /// The file behind the sink, for writers that go back or leave out; nullptr when there is none. It may be
  /// written at any offset below position().
  [[nodiscard]] virtual const File* seekable() const { return nullptr; }

 protected:
  /// One call of the kind of writev(2) at position(): the number of bytes taken, or -1 with errno.
  [[nodiscard]] virtual ssize_t write_some(std::span<const iovec> pieces) = 0;
  /// As copy_file_range(2), to position().
  [[nodiscard]] virtual ssize_t copy_some(const File& from, std::uint64_t offset, std::uint64_t size);
  /// True when bytes that are skipped need not be written.
  [[nodiscard]] virtual bool has_holes() const { return false; }
  /// The error for a failed write.
  [[nodiscard]] virtual Error failure(int errno_value) const;

 private:
  std::uint64_t position_ = 0;
};

/// An empty regular file, written from its beginning. `file` must outlive the sink. Skipped bytes at the very
/// end do not make the file longer.
class FileSink final : public Sink {
 public:
  explicit FileSink(const File& file) : file_(file) {}

  [[nodiscard]] const std::string& name() const override { return file_.name(); }
  [[nodiscard]] const File* seekable() const override { return &file_; }

 protected:
  [[nodiscard]] ssize_t write_some(std::span<const iovec> pieces) override;
  [[nodiscard]] ssize_t copy_some(const File& from, std::uint64_t offset, std::uint64_t size) override;
  [[nodiscard]] bool has_holes() const override { return true; }

 private:
  const File& file_;
  std::uint64_t flushed_ = 0;
};

}  // namespace vmsnap
