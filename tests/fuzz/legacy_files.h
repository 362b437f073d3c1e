// SPDX-License-Identifier: BSD-2-Clause
// A place for the three files of a legacy snapshot, for fuzz targets that go through files.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "reflect/text_escape.h"

namespace vmsnap::fuzz {

/// Ends the program: the fuzz target has found a defect.
inline void require(bool condition) {
  if (!condition) std::abort();
}

[[nodiscard]] inline bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const reflect::CodePoint point = reflect::decode_utf8(text);
    if (!point.valid || !reflect::is_safe_to_print(point.value)) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

/// A directory that is removed at the end; in memory where the machine has such a place, as what is written
/// is written through to the disk.
class LegacyFiles {
 public:
  LegacyFiles() {
    const std::filesystem::path in_memory = "/dev/shm";
    const bool is_usable = ::access(in_memory.c_str(), W_OK | X_OK) == 0;
    const auto parent = is_usable ? in_memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "vmsnap-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
  }
  LegacyFiles(const LegacyFiles&) = delete;
  LegacyFiles& operator=(const LegacyFiles&) = delete;
  ~LegacyFiles() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  [[nodiscard]] std::string path(std::string_view name) const { return directory_ / name; }

  void write(std::string_view name, std::string_view bytes) const {
    std::filesystem::remove(path(name));  // overwriting it would wait for the disk
    std::ofstream file(path(name), std::ios::binary);
    file << bytes;
    require(file.flush().good());
  }

 private:
  std::filesystem::path directory_;
};

}  // namespace vmsnap::fuzz
