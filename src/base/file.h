// SPDX-License-Identifier: BSD-2-Clause
// Files of the host. Errors carry the file's name; short reads and writes are completed or reported.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace vmsnap {

/// A half-open byte range of a file.
struct FileRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// An open regular file (or block device). Move-only; const member functions are thread-safe (pread, pwrite).
class File {
 public:
  File() = default;

  /// Opens an existing file for reading (O_RDONLY | O_CLOEXEC). Errors: Io.
  [[nodiscard]] static Result<File> open_for_reading(const std::string& path);
  /// Opens an existing file for reading and writing. Errors: Io.
  [[nodiscard]] static Result<File> open_for_writing(const std::string& path);
  /// Takes ownership of `fd`; `name` is what errors call it.
  [[nodiscard]] static File adopt(UniqueFd fd, std::string name);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Size in bytes; of a block device, its capacity. Errors: Io.
  [[nodiscard]] Result<std::uint64_t> size() const;

  /// Fills `out` from `offset`. Errors: Io; Truncated when the file ends first.
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, MutableByteView out) const;
  /// Fills the places in order from adjacent bytes of the file. Errors: as above.
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, std::span<const MutableByteView> places) const;
  /// Writes all of `bytes` at `offset`. Errors: Io.
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, ByteView bytes) const;
  /// Makes `size` bytes at `offset` those of `from` at `from_offset` without copying: both files have them at
  /// the same place on the disk until one of them is written there. False, and nothing has changed, where the
  /// file system cannot do that or not for these files and offsets. Errors: Io; the range is then undefined.
  [[nodiscard]] Result<bool> share_at(std::uint64_t offset, const File& from, std::uint64_t from_offset,
                                      std::uint64_t size) const;
  /// Sets the size; bytes gained are a hole. Errors: Io.
  [[nodiscard]] Result<void> truncate(std::uint64_t size) const;
  /// fdatasync(2). Errors: Io.
  [[nodiscard]] Result<void> sync_data() const;

  /// The first range of data at or after `offset` and below `limit`, cut to `limit`; nullopt when the rest
  /// is a hole. File systems that cannot tell report everything as data. Errors: Io.
  [[nodiscard]] Result<std::optional<FileRange>> next_data(std::uint64_t offset, std::uint64_t limit) const;

 private:
  File(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  [[nodiscard]] Error fail(std::string_view operation, int errno_value) const;
  [[nodiscard]] Error ends_early(std::uint64_t offset, std::uint64_t missing) const;

  UniqueFd fd_;
  std::string name_;
};

/// Where something begins in a file, which somebody else keeps open.
struct FilePlace {
  const File* file = nullptr;
  std::uint64_t offset = 0;
};

}  // namespace vmsnap
