// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/legacy_set.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/checked.h"
#include "format/constants.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::string_view kKernSuffix = ".kern";
constexpr std::string_view kMetaSuffix = ".meta";
constexpr std::string_view kLockSuffix = ".lock";
constexpr std::uint64_t kMaxManifestSize = 64 << 10;

enum class Presence : std::uint8_t { kMissing, kReadable, kOther };

Result<Presence> look_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Presence::kMissing;
    return io_error("cannot look at it", errno).in_file(path);
  }
  // Opening anything else may wait for ever or act on a device.
  return S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ? Presence::kReadable : Presence::kOther;
}

bool is_readable(const std::string& path) {
  const auto presence = look_at(path);
  return presence && *presence == Presence::kReadable;
}

bool is_missing(const std::string& path) {
  const auto presence = look_at(path);
  return presence && *presence == Presence::kMissing;
}

/// BASE, whichever of the three files `path` names. A guest may be called "x.kern": then the others lie
/// beside it.
std::string base_of(const std::string& path) {
  if (!is_missing(path + std::string(kKernSuffix)) || !is_missing(path + std::string(kMetaSuffix)))
    return path;
  for (const std::string_view suffix : {kKernSuffix, kMetaSuffix}) {
    const std::string_view whole = path;
    if (whole.ends_with(suffix)) return std::string(whole.substr(0, whole.size() - suffix.size()));
  }
  return path;
}

/// Empty when there is nothing to read.
std::string first_bytes(const std::string& path, std::uint64_t limit) {
  if (!is_readable(path)) return {};
  const auto file = File::open_for_reading(path);
  if (!file) return {};
  const auto size = file->size();
  if (!size) return {};
  std::string text(static_cast<std::size_t>(std::min(*size, limit)), '\0');
  if (!file->read_at(0, std::as_writable_bytes(std::span<char>(text)))) return {};
  return text;
}

/// The manifest is small text (or has a lock file beside it) that names its members; guest memory is neither.
bool is_manifest(const std::string& base) {
  const std::string text = first_bytes(base, kMaxManifestSize + 1);
  if (text.size() > kMaxManifestSize) return false;
  for (const std::string_view word : {"data", "kern", "meta"}) {
    if (text.find(word) == std::string::npos) return false;
  }
  return text.find('\0') == std::string::npos || is_readable(base + std::string(kLockSuffix));
}

bool is_vmsnap_file(std::string_view first) {
  return first.size() >= kFileMagic.size() &&
         std::equal(kFileMagic.begin(), kFileMagic.end(), first.begin(),
                    [](std::uint8_t wanted, char is) { return wanted == static_cast<unsigned char>(is); });
}

struct Member {
  std::string path;
  std::string_view what;  // what is lost with it
};

Error missing(const std::string& base, const std::vector<const Member*>& absent, std::size_t members) {
  if (absent.size() == members) {
    return Error(ErrorKind::kIo,
                 fmt::format("there is no such file, nor {0}{1} or {0}{2} beside it; name one of the "
                             "three files of a snapshot that bhyve wrote",
                             base, kKernSuffix, kMetaSuffix))
        .in_file(base);
  }
  std::string list;
  for (const Member* member : absent) {
    if (!list.empty()) list += ", and ";
    list += fmt::format("{} is missing, with {}", member->path, member->what);
  }
  return Error(ErrorKind::kIo,
               fmt::format(
                   "{}; bhyve writes three files that belong together, so look where it was started, and "
                   "copy all of them",
                   list))
      .in_file(base);
}

Result<void> check_present(const std::string& base, const std::array<Member, 3>& members) {
  std::vector<const Member*> absent;
  for (const Member& member : members) {
    VMSNAP_ASSIGN_OR_RETURN(const Presence presence, look_at(member.path));
    if (presence == Presence::kMissing) absent.push_back(&member);
    if (presence == Presence::kOther) {
      return Error(ErrorKind::kIo,
                   "this is a directory, a pipe or a device, but the files of a snapshot are regular files; "
                   "name "
                   "the snapshot's")
          .in_file(member.path);
    }
  }
  if (!absent.empty()) return missing(base, absent, members.size());
  return {};
}

Result<std::string> read_meta_text(const std::string& path) {
  VMSNAP_ASSIGN_OR_RETURN(const File file, File::open_for_reading(path));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t size, file.size());
  if (size > kMaxMetaTextSize) return too_long_for_a_meta(size).in_file(path);
  std::string text(static_cast<std::size_t>(size), '\0');
  VMSNAP_RETURN_IF_ERROR(file.read_at(0, std::as_writable_bytes(std::span<char>(text))));
  return text;
}

template <typename Fits>
const MetaEntry* first_that(const std::vector<MetaEntry>& entries, const Fits& fits) {
  const auto found = std::find_if(entries.begin(), entries.end(), fits);
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

MemorySplit split_memory(std::uint64_t memsize) {
  const std::uint64_t low = std::min(memsize, kLowMemoryLimit);
  return {low, memsize - low};
}

bool is_legacy_set(const std::string& path) {
  constexpr std::uint64_t kEnough = 256;
  const std::string first = first_bytes(path, kEnough);
  if (is_vmsnap_file(first)) return false;
  const std::string base = base_of(path);
  std::size_t present = 0;
  for (const std::string_view suffix : {std::string_view(), kKernSuffix, kMetaSuffix}) {
    present += is_readable(base + std::string(suffix)) ? 1 : 0;
  }
  if (present >= 2) return true;
  return first.find("\"basic metadata\"") != std::string::npos || is_manifest(base);
}

Result<LegacySet> LegacySet::open(const std::string& path) {
  LegacySet set;
  set.base_ = base_of(path);
  set.meta_path_ = set.base_ + std::string(kMetaSuffix);
  const std::string kern_path = set.base_ + std::string(kKernSuffix);
  if (is_manifest(set.base_)) {
    return Error(
               ErrorKind::kUnsupported,
               fmt::format(
                   "this is not guest memory but a manifest that names the files with data, kern and meta, "
                   "which an unofficial version of bhyve writes; copy what it names to NEW, NEW{} and NEW{}, "
                   "and name NEW",
                   kKernSuffix, kMetaSuffix))
        .in_file(set.base_);
  }
  const std::array<Member, 3> members = {
      {{set.base_, "the guest's memory, without which its state of CPUs and devices means nothing"},
       {kern_path, "the state of CPUs and devices, without which the guest cannot go on"},
       {set.meta_path_,
        "what says where each chunk of the .kern file begins (bhyve writes it last, so the checkpoint may "
        "have "
        "failed)"}}};
  VMSNAP_RETURN_IF_ERROR(check_present(set.base_, members));
  VMSNAP_ASSIGN_OR_RETURN(set.meta_text_, read_meta_text(set.meta_path_));
  auto meta = parse_meta(set.meta_text_);
  if (!meta) return std::move(meta).error().in_file(set.meta_path_);
  set.meta_ = std::move(*meta);
  VMSNAP_ASSIGN_OR_RETURN(set.memory_, File::open_for_reading(set.base_));
  VMSNAP_ASSIGN_OR_RETURN(set.memory_size_, set.memory_.size());
  VMSNAP_ASSIGN_OR_RETURN(set.kern_, File::open_for_reading(kern_path));
  VMSNAP_ASSIGN_OR_RETURN(set.kern_size_, set.kern_.size());
  return set;
}

const MetaEntry* LegacySet::find(KernelChunk chunk) const {
  return first_that(meta_.kernel, [&](const MetaEntry& entry) { return kernel_chunk(entry) == chunk; });
}

const MetaEntry* LegacySet::find_device(std::string_view name) const {
  return first_that(meta_.devices,
                    [&](const MetaEntry& entry) { return !entry.request && entry.name == name; });
}

Result<ByteVector> LegacySet::read(const MetaEntry& entry) const {
  const auto blamed = [&](Error error) {
    return std::move(error.in_file(kern_.name()).at_offset(entry.file_offset).in_chunk(label_of(entry)));
  };
  const auto end = checked_add(entry.file_offset, entry.size);
  if (!end || *end > kern_size_) {
    return blamed(
        {ErrorKind::kTruncated,
         fmt::format("the chunk has {} bytes from here, but the file ends at {}; use a whole copy of the "
                     "snapshot",
                     entry.size, kern_size_)});
  }
  if (entry.size > kMaxLegacyChunkSize) {
    return blamed(
        {ErrorKind::kLimitExceeded,
         fmt::format("the chunk has {} bytes, but none that bhyve writes has more than {}; the .meta file "
                     "is wrong",
                     entry.size, kMaxLegacyChunkSize)});
  }
  ByteVector bytes(static_cast<std::size_t>(entry.size));
  if (auto read = kern_.read_at(entry.file_offset, bytes); !read) return blamed(std::move(read).error());
  return bytes;
}

}  // namespace vmsnap::compat::bhyve
