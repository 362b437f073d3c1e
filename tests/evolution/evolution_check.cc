// SPDX-License-Identifier: BSD-2-Clause
// evolution_check SCHEMA_ROOT CURRENT: the second gate of schema evolution. For every type folder below
// SCHEMA_ROOT, each frozen schema of the current major is compared with CURRENT/<type>.bfbs.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "format/chunk_type.h"
#include "reflect/evolution.h"
#include "reflect/schema_model.h"

namespace {

namespace fs = std::filesystem;
using vmsnap::ChunkVersion;
using vmsnap::reflect::SchemaModel;

/// Prints what it finds wrong and counts it.
class Gate {
 public:
  explicit Gate(fs::path current) : current_(std::move(current)) {}

  void check_folder(const fs::path& folder) {
    const std::string type = folder.filename().string();
    ++types_;
    const fs::path bfbs = current_ / (type + ".bfbs");
    if (!fs::exists(bfbs)) return fail(type, "is in no list of schema/meson.build");
    const auto current = load(type, bfbs);
    if (!current) return;
    const auto version = version_of(*current);
    if (!version) return fail(type, "its root table has no chunk_version \"major.minor\"");

    bool found = false;
    for (const fs::path& file : files_of(folder / "frozen")) {
      const auto frozen = load(type, file);
      if (!frozen) continue;
      const auto frozen_version = version_of(*frozen);
      if (!frozen_version || file.filename() != "v" + to_string(*frozen_version) + ".bfbs") {
        fail(type, file.filename().string() + " is not named after the chunk_version it holds");
        continue;
      }
      if (frozen_version->major != version->major) continue;
      found = true;
      ++pairs_;
      for (const auto& violation : check_evolution(*frozen, *current)) {
        fail(type, "breaks " + file.filename().string() + ": " + violation.where + ": " + violation.sentence);
      }
    }
    if (!found) {
      fail(type, "has no frozen schema of major " + std::to_string(version->major) +
                     "; run tests/evolution/freeze.sh");
    }
  }

  [[nodiscard]] bool passed() const { return failures_ == 0 && pairs_ > 0; }
  void summarise() const {
    std::printf("%u types, %u pairs of schemas compared, %u failures\n", types_, pairs_, failures_);
  }

 private:
  void fail(const std::string& type, const std::string& sentence) {
    ++failures_;
    std::printf("%s: %s\n", type.c_str(), sentence.c_str());
  }

  std::optional<SchemaModel> load(const std::string& type, const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    auto model = SchemaModel::load(vmsnap::as_byte_view(bytes));
    if (model) return std::move(*model);
    fail(type, file.filename().string() + " cannot be used: " + model.error().to_string());
    return std::nullopt;
  }

  static std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    if (!fs::is_directory(folder)) return files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  static std::optional<ChunkVersion> version_of(const SchemaModel& model) {
    const auto* attribute = model.root().find_attribute("chunk_version");
    if (attribute == nullptr) return std::nullopt;
    const std::string& text = attribute->value;
    const char* end = text.data() + text.size();
    ChunkVersion version;
    const auto major = std::from_chars(text.data(), end, version.major);
    if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
    const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
    if (minor.ec != std::errc() || minor.ptr != end) return std::nullopt;
    return version;
  }

  fs::path current_;
  unsigned types_ = 0;
  unsigned pairs_ = 0;
  unsigned failures_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: evolution_check SCHEMA_ROOT CURRENT\n");
    return 2;
  }
  const fs::path root = argv[1];
  Gate gate(argv[2]);
  for (const fs::path& parent : {root, root / "container"}) {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(parent)) {
      const fs::path name = entry.path().filename();
      if (entry.is_directory() && fs::exists(entry.path() / (name.string() + ".fbs")))
        folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    for (const fs::path& folder : folders) gate.check_folder(folder);
  }
  gate.summarise();
  return gate.passed() ? 0 : 1;
}
