// SPDX-License-Identifier: BSD-2-Clause
#include "snapshot/check.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chunk_printer.h"
#include "commands/commands.h"
#include "legacy/legacy.h"
#include "progress.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

struct CheckOptions {
  CommonOptions common;
  std::string level = "full";
  std::vector<std::string> assume;
};

/// A finding of the library or of ours.
struct Note {
  std::string code;
  std::string message;
};

struct Outcome {
  CheckReport report;
  std::vector<Note> notes;
  std::uint64_t states_checked = 0;  // metas that were walked along their schemas
};

ReadLevel to_level(const std::string& name) {
  if (name == "header") return ReadLevel::kHeader;
  return name == "meta" ? ReadLevel::kMeta : ReadLevel::kFull;
}

/// What a level proves, for a person.
std::string_view scope(ReadLevel level) {
  switch (level) {
    case ReadLevel::kHeader:
      return "file header, chunk headers, schemas, manifest, memory map, index and footer; neither the state "
             "of "
             "devices nor RAM";
    case ReadLevel::kMeta:
      return "file header, chunk headers, schemas, manifest, memory map, index, footer, root, the state of "
             "every "
             "device and the hashes of RAM; not RAM itself";
    case ReadLevel::kFull:
      return "every byte";
  }
  return "";
}

/// Adds notes of our own, of which a hostile file could make any number.
void add_note(Outcome& outcome, std::string code, std::string message) {
  constexpr std::size_t kMostNotes = 200;
  if (outcome.notes.size() < kMostNotes) outcome.notes.push_back({std::move(code), std::move(message)});
}

/// Walks every meta along the schema that the file carries for it: hashes prove that the bytes are those that
/// were written, not that they make sense. A schema that cannot be used is no reason to refuse the file,
/// since a restore does without: state and schema of a type that it knows, it checks by its own.
Result<void> check_states(const SnapshotReader& reader, Outcome& outcome) {
  SchemaCache schemas(reader);
  for (const ChunkRecord& chunk : reader.container().chunks()) {
    const Result<const reflect::SchemaModel*> model = schemas.schema_for(chunk);
    if (!model) {
      if (model.error().kind() == ErrorKind::kIo) return model.error();
      add_note(outcome, "unusable-schema",
               fmt::format("chunk {} cannot be shown: chunk {}: {}", chunk.name(), model.error().chunk(),
                           model.error().message()));
      continue;
    }
    VMSNAP_ASSIGN_OR_RETURN(const ByteVector meta, reader.container().meta(chunk));
    reflect::Visitor nothing;
    Result<reflect::WalkReport> walked = reflect::walk(**model, meta, nothing);
    if (!walked) return std::move(walked.error().at_offset(chunk.offset).in_chunk(chunk.name()));
    ++outcome.states_checked;
    for (const reflect::Remark& remark : walked->remarks) {
      add_note(outcome, "odd-value",
               fmt::format("chunk {}: field {}: {}", chunk.name(), remark.path, remark.sentence));
    }
    if (walked->unknown_fields != 0) {
      add_note(outcome, "undescribed-fields",
               fmt::format("chunk {} stores {} that the schema in the file does not describe", chunk.name(),
                           count_of(walked->unknown_fields, "field")));
    }
  }
  return {};
}

/// Checks with a line on the terminal about how far it is.
CheckReport check_watched(const std::string& path, ReadLevel level, Output& output) {
  if (level != ReadLevel::kFull) return check_snapshot(path, level);
  std::uint64_t memory = 0;
  if (const Result<SnapshotReader> reader = open_snapshot(path)) memory = memory_size(*reader);
  Progress progress(output, "checking", memory);
  return check_snapshot(path, level, progress.pass());
}

Outcome check(const std::string& path, ReadLevel level, Output& output) {
  Outcome outcome;
  if (Result<void> usable = check_path(path); !usable) {
    outcome.report.error = std::move(usable).error();
    return outcome;
  }
  outcome.report = check_watched(path, level, output);
  for (const Finding& finding : outcome.report.findings) {
    outcome.notes.push_back({std::string(vmsnap::to_string(finding.code)), finding.message});
  }
  if (outcome.report.error || level == ReadLevel::kHeader) return outcome;
  const Result<SnapshotReader> reader = open_snapshot(path);
  if (!reader) {
    outcome.report.error = reader.error();
  } else if (Result<void> checked = check_states(*reader, outcome); !checked) {
    outcome.report.error = std::move(checked.error().in_file(path));
  }
  return outcome;
}

ExitCode status_of(const Outcome& outcome) {
  if (outcome.report.error) return exit_code(outcome.report.error->kind());
  return outcome.notes.empty() ? kExitOk : kExitFindings;
}

std::string_view result_name(const Outcome& outcome) {
  if (outcome.report.error) return vmsnap::to_string(outcome.report.error->kind());
  return outcome.notes.empty() ? "ok" : "findings";
}

Json to_json(const CheckOptions& options, const Outcome& outcome) {
  const CheckReport& report = outcome.report;
  Json findings = Json::array();
  for (const Note& note : outcome.notes) findings.push_back({{"code", note.code}, {"message", note.message}});
  return {
      {"file", options.common.file},
      {"level", options.level},
      {"result", result_name(outcome)},
      {"uuid", report.uuid ? Json(vmsnap::to_string(*report.uuid)) : Json(nullptr)},
      {"root", report.root ? Json(vmsnap::to_string(*report.root)) : Json(nullptr)},
      {"memory_digest",
       report.memory_digest ? Json(vmsnap::to_string(*report.memory_digest)) : Json(nullptr)},
      {"file_size", wide(report.file_size)},
      {"chunk_count", report.chunk_count},
      {"states_checked", outcome.states_checked},
      {"findings", std::move(findings)},
      {"error", report.error ? snaptool::to_json(*report.error) : Json(nullptr)},
  };
}

/// False for what says nothing of the file, because it could not be looked at.
bool is_about_the_file(ErrorKind kind) {
  return kind == ErrorKind::kTruncated || kind == ErrorKind::kCorrupt || kind == ErrorKind::kUnsupported;
}

void print_text(const CheckOptions& options, const Outcome& outcome, Output& output) {
  const CheckReport& report = outcome.report;
  const std::string file = printable(options.common.file);
  if (report.error) {
    output.complain(report.error->to_string());
  } else {
    output.print(fmt::format("{}: checked {} in {}: {}\n", file, count_of(report.chunk_count, "chunk"),
                             count_of(report.file_size, "byte"), scope(to_level(options.level))));
  }
  if (report.memory_digest) {
    output.print(fmt::format("{}: memory digest {}\n", file, vmsnap::to_string(*report.memory_digest)));
  }
  for (const Note& note : outcome.notes)
    output.print(fmt::format("{}: finding: {}\n", file, printable(note.message)));
  std::string verdict;
  if (report.error && !is_about_the_file(report.error->kind())) return;
  if (report.error) {
    verdict = fmt::format("do not use it ({})", vmsnap::to_string(report.error->kind()));
  } else {
    verdict = outcome.notes.empty() ? "no fault found"
                                    : fmt::format("no damage, {}", count_of(outcome.notes.size(), "finding"));
  }
  output.print(fmt::format("{}: {}\n", file, verdict));
}

ExitCode run(const CheckOptions& options, Output& output) {
  if (compat::bhyve::is_legacy_set(options.common.file))
    return legacy::check({options.common.file, options.common.json, options.assume}, output);
  if (const auto refused = legacy::refuse_assume(options.assume); !refused)
    return fail(refused.error(), options.common.json, output);
  const Outcome outcome = check(options.common.file, to_level(options.level), output);
  if (options.common.json) {
    output.print_json(to_json(options, outcome));
    if (outcome.report.error) output.complain(outcome.report.error->to_string());
  } else {
    print_text(options, outcome, output);
  }
  return status_of(outcome);
}

}  // namespace

void add_check_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command =
      app.add_subcommand("check", "Check a snapshot as a restore would, and tell all that is odd about it");
  add_common_options(*command, options->common);
  command
      ->add_option("--level", options->level,
                   "How much to read: header (constant small cost), meta (all but RAM) or full (every byte)")
      ->check(CLI::IsMember({"header", "meta", "full"}))
      ->type_name("LEVEL")
      ->capture_default_str();
  legacy::add_assume_option(*command, options->assume);
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
