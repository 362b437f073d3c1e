// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include "legacy/legacy.h"

namespace vmsnap::snaptool::legacy {
namespace {

using namespace compat::bhyve;

/// Without a verdict, what the .meta file says.
std::vector<ClassifiedEntry> entries_of(const LegacySet& set, const Result<Verdict>& verdict) {
  if (verdict) return verdict->entries;
  std::vector<ClassifiedEntry> entries;
  for (const MetaEntry& entry : set.meta().kernel) entries.push_back({&entry, true, nullptr, {}, 0, {}});
  for (const MetaEntry& entry : set.meta().devices) entries.push_back({&entry, false, nullptr, {}, 0, {}});
  return entries;
}

}  // namespace

ExitCode ls(const LegacyOptions& options, Output& output) {
  const auto assumptions = Assumptions::parse(options.assume);
  if (!assumptions) return fail(assumptions.error(), options.json, output);
  const auto set = LegacySet::open(options.file);
  if (!set) return fail(set.error(), options.json, output);
  const auto verdict = classify(*set, *assumptions);
  Json chunks = Json::array();
  if (!options.json) output.print(fmt::format("{:>10}  {:>10}  {:<26}  SHAPE\n", "OFFSET", "SIZE", "NAME"));
  for (const ClassifiedEntry& one : entries_of(*set, verdict)) {
    const std::string shape = shape_text(one);
    if (options.json) {
      chunks.push_back(to_json(one));
    } else {
      output.print(fmt::format("{:>10}  {:>10}  {:<26}  {}\n", one.entry->file_offset, one.entry->size,
                               label_of(*one.entry), shape.empty() ? "-" : shape));
    }
  }
  if (options.json) {
    output.print_json({{"format", "bhyve"},
                       {"base", set->base()},
                       {"chunks", std::move(chunks)},
                       {"error", verdict ? Json(nullptr) : snaptool::to_json(verdict.error())}});
  }
  if (verdict) return kExitOk;
  output.complain(verdict.error().to_string());
  return exit_code(verdict.error().kind());
}

}  // namespace vmsnap::snaptool::legacy
