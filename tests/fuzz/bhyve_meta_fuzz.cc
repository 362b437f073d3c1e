// SPDX-License-Identifier: BSD-2-Clause
// Input: the text of a `.meta`. What is accepted is written and read back as it was, and its findings about
// files of some size are text that can be printed.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "bhyve/set/check_set.h"
#include "bhyve/set/meta.h"
#include "reflect/text_escape.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat::bhyve;

void require(bool condition) {
  if (!condition) std::abort();
}

/// The three files in a directory that is removed at the end.
class Files {
 public:
  Files() {
    std::string name = (std::filesystem::temp_directory_path() / "vmsnap-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    std::ofstream(path("")) << std::string(4096, '\0');
    std::ofstream(path(".kern")) << std::string(16000, '\0');
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  [[nodiscard]] std::string path(const char* suffix) const {
    return directory_ / (std::string("vm") + suffix);
  }

 private:
  std::filesystem::path directory_;
};

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const reflect::CodePoint point = reflect::decode_utf8(text);
    if (!point.valid || !reflect::is_safe_to_print(point.value)) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

void check(std::string_view text) {
  static const Files files;
  std::filesystem::remove(files.path(".meta"));  // overwriting it would wait for the disk
  std::ofstream(files.path(".meta"), std::ios::binary) << text;
  const auto set = LegacySet::open(files.path(""));
  require(set.has_value());
  for (const SetFinding& finding : check_set(*set))
    require(is_printable(finding.entry) && is_printable(finding.sentence));
  for (const auto* entries : {&set->meta().kernel, &set->meta().devices}) {
    for (const MetaEntry& entry : *entries) {
      const auto bytes = set->read(entry);
      require(bytes ? bytes->size() == entry.size
                    : bytes.error().kind() == ErrorKind::kTruncated ||
                          bytes.error().kind() == ErrorKind::kLimitExceeded);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto meta = parse_meta(text);
  if (!meta) {
    const ErrorKind kind = meta.error().kind();
    require(kind == ErrorKind::kCorrupt || kind == ErrorKind::kTruncated ||
            kind == ErrorKind::kLimitExceeded);
    require(is_printable(meta.error().to_string()));
    return 0;
  }
  const auto written = write_meta(*meta);
  if (written) {
    const auto again = parse_meta(*written);
    require(again && *again == *meta && *write_meta(*again) == *written);
  }
  check(text);
  return 0;
}
