// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "bhyve/set/check_set.h"
#include "bhyve/verdict/check_values.h"
#include "legacy/legacy.h"

namespace vmsnap::snaptool::legacy {
namespace {

using namespace compat::bhyve;

struct Finding {
  Severity severity = Severity::kNote;
  Consequence consequence = Consequence::kNone;
  std::string code;
  std::string entry;
  std::string field;
  std::string file;
  std::optional<std::uint64_t> offset;
  std::string sentence;
};

struct Outcome {
  std::vector<Finding> findings;
  std::optional<Error> error;  // why it is not known how to read the chunks
  std::size_t chunks_read = 0;

  [[nodiscard]] Severity worst() const {
    Severity worst = Severity::kNote;
    for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
    return worst;
  }
};

Outcome look_at(const LegacySet& set, const Assumptions& assumptions) {
  Outcome outcome;
  for (SetFinding& one : check_set(set)) {
    outcome.findings.push_back({one.severity,
                                consequence_of(one.code),
                                std::string(to_string(one.code)),
                                std::move(one.entry),
                                {},
                                std::move(one.file),
                                one.offset,
                                std::move(one.sentence)});
  }
  const auto verdict = classify(set, assumptions);
  if (!verdict) {
    outcome.error = verdict.error();
    return outcome;
  }
  for (const ClassifiedEntry& one : verdict->entries) outcome.chunks_read += one.layout != nullptr ? 1 : 0;
  for (ValueFinding& one : check_chunks(set, *verdict)) {
    outcome.findings.push_back({one.severity, one.consequence, std::string(one.code), std::move(one.entry),
                                std::move(one.field), set.kern().name(), one.offset,
                                std::move(one.sentence)});
  }
  return outcome;
}

ExitCode status_of(const Outcome& outcome) {
  if (outcome.error) return exit_code(outcome.error->kind());
  switch (outcome.worst()) {
    case Severity::kError:
      return kExitCorrupt;
    case Severity::kWarning:
      return kExitFindings;
    case Severity::kNote:
      return kExitOk;
  }
  return kExitCorrupt;
}

std::string_view result_of(const Outcome& outcome) {
  if (outcome.error) return vmsnap::to_string(outcome.error->kind());
  return outcome.worst() == Severity::kError     ? "corrupt"
         : outcome.worst() == Severity::kWarning ? "findings"
                                                 : "ok";
}

Json to_json(const LegacySet& set, const Outcome& outcome) {
  Json findings = Json::array();
  for (const Finding& one : outcome.findings) {
    findings.push_back({{"severity", to_string(one.severity)},
                        {"consequence", to_string(one.consequence)},
                        {"code", one.code},
                        {"entry", text_or_null(one.entry)},
                        {"field", text_or_null(one.field)},
                        {"file", one.file},
                        {"offset", one.offset ? wide(*one.offset) : Json(nullptr)},
                        {"message", one.sentence}});
  }
  return {
      {"format", "bhyve"},
      {"base", set.base()},
      {"result", result_of(outcome)},
      {"chunks_read", outcome.chunks_read},
      {"findings", std::move(findings)},
      {"error", outcome.error ? snaptool::to_json(*outcome.error) : Json(nullptr)},
  };
}

/// "warning: suspicious"
std::string kind_of(const Finding& one) {
  const std::string severity(to_string(one.severity));
  switch (one.consequence) {
    case Consequence::kNone:
      return severity;
    case Consequence::kSuspicious:
      return severity + ": suspicious";
    case Consequence::kRefused:
      return severity + ": bhyve refuses it";
    case Consequence::kCrash:
      return severity + ": crashes bhyve or the guest";
  }
  return severity;
}

std::string counts_of(const Outcome& outcome) {
  std::map<Consequence, std::size_t> counts;
  for (const Finding& one : outcome.findings) ++counts[one.consequence];
  std::vector<std::string> parts;
  const auto add = [&](Consequence consequence, std::string_view words) {
    if (counts[consequence] != 0) parts.push_back(fmt::format("{} {}", counts[consequence], words));
  };
  add(Consequence::kRefused, "that bhyve refuses");
  add(Consequence::kCrash, "that crashes bhyve or the guest");
  add(Consequence::kSuspicious, "suspicious");
  add(Consequence::kNone, "harmless");
  return fmt::format("{}: {}", count_of(outcome.findings.size(), "finding"), fmt::join(parts, ", "));
}

void print_text(const LegacySet& set, const Outcome& outcome, Output& output) {
  for (const Finding& one : outcome.findings) {
    std::string where = one.file;
    if (one.offset) where += fmt::format(": offset {}", *one.offset);
    if (!one.entry.empty()) where += ": " + one.entry;
    if (!one.field.empty()) where += ": " + one.field;
    output.print(printable(fmt::format("{}: {}: {}", where, kind_of(one), one.sentence)) + '\n');
  }
  const std::string base = printable(set.base());
  if (outcome.error) {
    output.complain(outcome.error->to_string());
  } else {
    output.print(
        fmt::format("{}: read {} along their layouts; guest memory is not looked at, as it has no hashes\n",
                    base, count_of(outcome.chunks_read, "chunk")));
  }
  if (!outcome.findings.empty()) output.print(fmt::format("{}: {}\n", base, counts_of(outcome)));
  const std::string_view result = result_of(outcome);
  output.print(fmt::format("{}: {}\n", base,
                           result == "ok"         ? "no fault found"
                           : result == "findings" ? "it can be read, but something deserves attention"
                                                  : "do not use it (" + std::string(result) + ")"));
}

}  // namespace

ExitCode check(const LegacyOptions& options, Output& output) {
  const auto assumptions = Assumptions::parse(options.assume);
  if (!assumptions) return fail(assumptions.error(), options.json, output);
  const auto set = LegacySet::open(options.file);
  if (!set) return fail(set.error(), options.json, output);
  const Outcome outcome = look_at(*set, *assumptions);
  if (options.json) {
    output.print_json(to_json(*set, outcome));
    if (outcome.error) output.complain(outcome.error->to_string());
  } else {
    print_text(*set, outcome, output);
  }
  return status_of(outcome);
}

}  // namespace vmsnap::snaptool::legacy
