// SPDX-License-Identifier: BSD-2-Clause
#include "legacy/legacy.h"

#include "bhyve/set/shown.h"

namespace vmsnap::snaptool::legacy {

using namespace compat::bhyve;

void add_assume_option(CLI::App& command, std::vector<std::string>& assume) {
  command
      .add_option(
          "--assume", assume,
          "Of a snapshot of bhyve: take this for granted instead of concluding it, such as vmcx=intel-664, "
          "prefix=A or generation=C; may be repeated")
      ->type_name("AXIS=SHAPE")
      ->allow_extra_args(false);
}

Result<void> refuse_assume(const std::vector<std::string>& assume) {
  if (assume.empty()) return {};
  return Error(ErrorKind::kUsage,
               "--assume is for the snapshots of bhyve; this is none, and says itself what it is");
}

Json to_json(const ClassifiedEntry& one) {
  const MetaEntry& entry = *one.entry;
  return {
      {"name", label_of(entry)},
      {"kernel", one.is_kernel},
      {"offset", wide(entry.file_offset)},
      {"size", wide(entry.size)},
      {"layout", one.layout != nullptr ? Json(one.layout->chunk) : Json(nullptr)},
      {"shape", text_or_null(shape_text(one))},
      {"trailing", wide(one.trailing)},
      {"why_not", text_or_null(one.why_not)},
  };
}

}  // namespace vmsnap::snaptool::legacy
