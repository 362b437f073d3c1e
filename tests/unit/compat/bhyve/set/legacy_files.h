// SPDX-License-Identifier: BSD-2-Clause
// Files of legacy snapshots for tests: metas are texts, chunks and memory are whatever is in the way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "../../../base/temp_dir.h"

namespace vmsnap::compat::bhyve {

/// One of tests/unit/compat/bhyve/set/metas.
inline std::string sample_meta(const std::string& name) {
  std::ifstream file(std::filesystem::path(VMSNAP_BHYVE_METAS) / (name + ".meta"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// `text` with its first `from` replaced; as it was when there is none, which no test means.
inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "not found: " + std::string(from);
  return text.replace(at, from.size(), to);
}

inline std::string only_entry(std::string_view body) {
  return "{\"basic metadata\": {\"ncpus\": 1, \"vmname\": \"v\", \"memsize\": 4096, \"memflags\": 0}, "
         "\"structs\": [{" +
         std::string(body) + "}], \"devices\": []}";
}

/// BASE, BASE.kern and BASE.meta in a directory of their own.
class LegacyFiles {
 public:
  LegacyFiles(std::string_view meta, std::uint64_t kern_size, std::uint64_t memory_size) {
    write(".meta", meta);
    resize(".kern", kern_size);
    resize("", memory_size);
  }

  [[nodiscard]] std::string path(const std::string& suffix = "") const { return dir_.file("vm" + suffix); }

  void write(const std::string& suffix, std::string_view bytes) const {
    std::filesystem::remove(path(suffix));  // overwriting it would wait for the disk
    std::ofstream(path(suffix), std::ios::binary) << bytes;
  }

  /// What is gained is a hole.
  void resize(const std::string& suffix, std::uint64_t size) const {
    std::ofstream(path(suffix), std::ios::binary | std::ios::app).flush();
    std::filesystem::resize_file(path(suffix), size);
  }

  void remove(const std::string& suffix) const { std::filesystem::remove(path(suffix)); }

 private:
  TempDir dir_;
};

}  // namespace vmsnap::compat::bhyve
