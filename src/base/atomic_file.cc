// SPDX-License-Identifier: BSD-2-Clause
#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/uuid.h"

namespace vmsnap {

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  const std::filesystem::path whole(path);
  const std::string name = whole.filename().string();
  if (name.empty() || name == "." || name == "..") {
    return Error(ErrorKind::kUsage, "this is not the name of a file; give the path of the file to write")
        .in_file(path);
  }
  const std::string folder = whole.has_parent_path() ? whole.parent_path().string() : ".";
  UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return io_error(fmt::format("cannot open the directory {}", folder), errno).in_file(path);
  // rename(2) onto a directory, a device or a socket must not be tried: say so before any work is done.
  struct stat status {};
  if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISREG(status.st_mode)) {
    return Error(ErrorKind::kUsage, "something that is not a regular file has this name; choose another name")
        .in_file(path);
  }
  VMSNAP_ASSIGN_OR_RETURN(const Uuid unique, Uuid::random());
  const std::string temporary =
      fmt::format(".{}.{}.tmp", name.substr(0, 200), to_string(unique).substr(0, 8));
  UniqueFd fd(::openat(directory.get(), temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       S_IRUSR | S_IWUSR));
  if (!fd)
    return io_error(fmt::format("cannot create a file in the directory {}", folder), errno).in_file(path);
  // The umask can only take bits away; a mode of exactly 0600 is promised.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) {
    const int error = errno;
    ::unlinkat(directory.get(), temporary.c_str(), 0);
    return io_error("cannot set mode 0600", error).in_file(path);
  }
  return AtomicFile(File::adopt(std::move(fd), path), std::move(directory), temporary, name);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : file_(std::move(other.file_)),
      directory_(std::move(other.directory_)),
      temporary_(std::exchange(other.temporary_, {})),
      target_(std::move(other.target_)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlinkat(directory_.get(), temporary_.c_str(), 0);
}

Result<void> AtomicFile::publish() {
  if (temporary_.empty())
    return Error(ErrorKind::kInvalidState, "publish() was called twice").in_file(file_.name());
  if (::fsync(file_.fd()) != 0) return io_error("cannot flush it to the disk", errno).in_file(file_.name());
  if (::renameat(directory_.get(), temporary_.c_str(), directory_.get(), target_.c_str()) != 0) {
    return io_error("cannot rename the finished file to its name", errno).in_file(file_.name());
  }
  temporary_.clear();
  if (::fsync(directory_.get()) != 0) {
    return io_error("the file is in place, but its directory could not be flushed to the disk", errno)
        .in_file(file_.name());
  }
  return {};
}

}  // namespace vmsnap
