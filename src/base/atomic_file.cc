// SPDX-License-Identifier: BSD-2-Clause
#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/uuid.h"

namespace vmsnap {

namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";

std::string temporary_prefix(const std::string& name) {
  return fmt::format(".{}.", name.substr(0, 200));
}

/// Removes temporary files of earlier writers of `name` that ended before they could: those that nobody has
/// locked. What cannot be removed is left alone.
void remove_debris(const std::string& folder, const std::string& name) {
  const std::string prefix = temporary_prefix(name);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string found = entry.path().filename().string();
    const bool ours = found.size() == prefix.size() + 8 + kTemporarySuffix.size() &&
                      found.starts_with(prefix) && found.ends_with(kTemporarySuffix);
    if (!ours) continue;
    const UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
  }
}

}  // namespace

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
  remove_debris(folder, name);
  VMSNAP_ASSIGN_OR_RETURN(const Uuid unique, Uuid::random());
  const std::string temporary =
      temporary_prefix(name) + to_string(unique).substr(0, 8) + std::string(kTemporarySuffix);
  // A file without a name vanishes with the process that writes it, however that ends. Not every file system
  // has such files; what the kernel then says differs.
  UniqueFd fd(::openat(directory.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, S_IRUSR | S_IWUSR));
  const bool nameless = static_cast<bool>(fd);
  if (!nameless) {
    fd.reset(::openat(directory.get(), temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                      S_IRUSR | S_IWUSR));
  }
  if (!fd)
    return io_error(fmt::format("cannot create a file in the directory {}", folder), errno).in_file(path);
  // Tells others that whoever writes this is alive (see remove_debris).
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return io_error("cannot lock it", errno).in_file(path);
  AtomicFile file(File::adopt(std::move(fd), path), std::move(directory), temporary, name);
  file.has_temporary_ = !nameless;
  // The umask can only take bits away; a mode of exactly 0600 is promised.
  if (::fchmod(file.file().fd(), S_IRUSR | S_IWUSR) != 0) {
    return io_error("cannot set mode 0600", errno).in_file(path);
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : file_(std::move(other.file_)),
      directory_(std::move(other.directory_)),
      temporary_(std::move(other.temporary_)),
      target_(std::move(other.target_)),
      has_temporary_(std::exchange(other.has_temporary_, false)),
      published_(other.published_) {}

AtomicFile::~AtomicFile() {
  if (has_temporary_) ::unlinkat(directory_.get(), temporary_.c_str(), 0);
}

Result<void> AtomicFile::publish() {
  if (published_) return Error(ErrorKind::kInvalidState, "publish() was called twice").in_file(file_.name());
  if (::fsync(file_.fd()) != 0) return io_error("cannot flush it to the disk", errno).in_file(file_.name());
  // A link cannot take the place of a file: the complete file gets its temporary name first. Through /proc,
  // because AT_EMPTY_PATH asks for a privilege.
  if (!has_temporary_) {
    const std::string self = fmt::format("/proc/self/fd/{}", file_.fd());
    if (::linkat(AT_FDCWD, self.c_str(), directory_.get(), temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return io_error("cannot give the finished file a name", errno).in_file(file_.name());
    }
    has_temporary_ = true;
  }
  if (::renameat(directory_.get(), temporary_.c_str(), directory_.get(), target_.c_str()) != 0) {
    return io_error("cannot rename the finished file to its name", errno).in_file(file_.name());
  }
  has_temporary_ = false;
  published_ = true;
  if (::fsync(directory_.get()) != 0) {
    return io_error("the file is in place, but its directory could not be flushed to the disk", errno)
        .in_file(file_.name());
  }
  return {};
}

}  // namespace vmsnap
