// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>

#include "bhyve/set/check_set.h"
#include "bhyve/verdict/check_values.h"
#include "legacy/legacy.h"

namespace vmsnap::snaptool::legacy {
namespace {

using namespace compat::bhyve;

struct Finding {
  Severity severity = Severity::kNote;
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
    outcome.findings.push_back({one.severity, std::string(one.code), std::move(one.entry),
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

void print_text(const LegacySet& set, const Outcome& outcome, Output& output) {
  for (const Finding& one : outcome.findings) {
    std::string where = one.file;
    if (one.offset) where += fmt::format(": offset {}", *one.offset);
    if (!one.entry.empty()) where += ": " + one.entry;
    if (!one.field.empty()) where += ": " + one.field;
    output.print(printable(fmt::format("{}: {}: {}", where, to_string(one.severity), one.sentence)) + '\n');
  }
  const std::string base = printable(set.base());
  if (outcome.error) {
    output.complain(outcome.error->to_string());
  } else {
    output.print(
        fmt::format("{}: read {} along their layouts; guest memory is not looked at, as it has no hashes\n",
                    base, count_of(outcome.chunks_read, "chunk")));
  }
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
