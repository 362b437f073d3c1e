// SPDX-License-Identifier: BSD-2-Clause
// Input: the text of a `.meta`. What is accepted is written and read back as it was, and its findings about
// files of some size are text that can be printed.
#include <cstdint>
#include <string>
#include <string_view>

#include "bhyve/set/check_set.h"
#include "bhyve/set/meta.h"
#include "legacy_files.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat::bhyve;
using vmsnap::fuzz::is_printable;
using vmsnap::fuzz::LegacyFiles;
using vmsnap::fuzz::require;

void check(std::string_view text) {
  static const LegacyFiles files;
  static const bool written = [] {
    files.write("vm", std::string(4096, '\0'));
    files.write("vm.kern", std::string(16000, '\0'));
    return true;
  }();
  require(written);
  files.write("vm.meta", text);
  const auto set = LegacySet::open(files.path("vm"));
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
