// SPDX-License-Identifier: BSD-2-Clause
// The three files of a snapshot that bhyve(8) wrote: BASE (guest memory), BASE.kern (chunks of state one
// after the other) and BASE.meta (what they are, and where).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "bhyve/set/meta.h"

namespace vmsnap::compat::bhyve {

/// Of one chunk. bhyve's own buffer has 40 MiB, and the largest chunk (fbuf) 16 MiB.
inline constexpr std::uint64_t kMaxLegacyChunkSize = std::uint64_t{64} << 20;

/// bhyve puts no memory between this and 4 GiB of the guest's physical addresses.
inline constexpr std::uint64_t kLowMemoryLimit = std::uint64_t{3} << 30;
inline constexpr std::uint64_t kHighMemoryBase = std::uint64_t{4} << 30;

/// Where the bytes of BASE belong: the first `low` at physical address 0, the rest at kHighMemoryBase.
struct MemorySplit {
  std::uint64_t low = 0;   // bytes
  std::uint64_t high = 0;  // bytes
};

[[nodiscard]] MemorySplit split_memory(std::uint64_t memsize);

/// True when `path` names one of the three files, or the manifest that a fork of bhyve writes (which
/// LegacySet::open() refuses), and is no vmsnap file. Also when one of the three is missing: opening then
/// says which. Looks at names and at the first bytes of `path`, no more.
[[nodiscard]] bool is_legacy_set(const std::string& path);

/// Move-only. Const member functions are thread-safe.
class LegacySet {
 public:
  /// `path` is BASE, BASE.kern or BASE.meta. Reads the `.meta` and opens the others; what they hold against
  /// each other is check_set()'s. Errors: Io, when a file is missing (with what that means), is no regular
  /// file, or cannot be read; Unsupported for a manifest; those of parse_meta().
  [[nodiscard]] static Result<LegacySet> open(const std::string& path);

  [[nodiscard]] const std::string& base() const { return base_; }
  [[nodiscard]] const Meta& meta() const { return meta_; }
  /// What meta() was read from.
  [[nodiscard]] std::string_view meta_text() const { return meta_text_; }
  [[nodiscard]] const std::string& meta_path() const { return meta_path_; }

  /// Guest memory. Never read by this class.
  [[nodiscard]] const File& memory() const { return memory_; }
  /// Bytes of BASE, which should be meta().memsize.
  [[nodiscard]] std::uint64_t memory_size() const { return memory_size_; }

  [[nodiscard]] const File& kern() const { return kern_; }
  [[nodiscard]] std::uint64_t kern_size() const { return kern_size_; }

  /// The entry that bhyve would take: the first that fits, nullptr when none does. Owned by the set.
  [[nodiscard]] const MetaEntry* find(KernelChunk chunk) const;
  [[nodiscard]] const MetaEntry* find_device(std::string_view name) const;

  /// The bytes of a chunk, owned by the caller; at most kMaxLegacyChunkSize. Errors name the chunk and where
  /// it should be: Truncated beyond the end of the `.kern` file, LimitExceeded, Io.
  [[nodiscard]] Result<ByteVector> read(const MetaEntry& entry) const;

 private:
  LegacySet() = default;

  std::string base_;
  std::string meta_path_;
  std::string meta_text_;
  Meta meta_;
  File memory_;
  File kern_;
  std::uint64_t memory_size_ = 0;
  std::uint64_t kern_size_ = 0;
};

}  // namespace vmsnap::compat::bhyve
