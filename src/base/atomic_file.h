// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace vmsnap {

/// A file that appears under its name complete, or not at all: it is written without a name in the same
/// directory with mode 0600, and publish() makes it durable and puts it in place. An existing file of that
/// name stays untouched until the new one replaces it. A crash leaves the old file or the new one, and
/// nothing else; only in the instant in which the complete file changes from a temporary name to its own, and
/// on file systems without O_TMPFILE (some network file systems) all the time, a stray `.<name>.XXXXXXXX.tmp`
/// may stay behind. Not thread-safe.
class AtomicFile {
 public:
  /// Errors: Io (the directory is missing or not writable), Usage (`path` names no file).
  [[nodiscard]] static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  /// Lets go of what was written, unless publish() succeeded.
  ~AtomicFile();

  /// Valid until publish() or destruction; named `path` in errors.
  [[nodiscard]] const File& file() const { return file_; }

  /// fsync, link and rename, fsync of the directory. Errors: Io; then the target is as it was, except when
  /// the last step fails: the new file is complete under its name but may not survive a power cut.
  [[nodiscard]] Result<void> publish();

 private:
  AtomicFile(File file, UniqueFd directory, std::string temporary, std::string target)
      : file_(std::move(file)),
        directory_(std::move(directory)),
        temporary_(std::move(temporary)),
        target_(std::move(target)) {}

  File file_;
  UniqueFd directory_;
  std::string temporary_;       // relative to directory_
  std::string target_;          // relative to directory_
  bool has_temporary_ = false;  // the file has the name temporary_
  bool published_ = false;
};

}  // namespace vmsnap
