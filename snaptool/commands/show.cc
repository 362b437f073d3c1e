// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "chunk_printer.h"
#include "commands/commands.h"
#include "legacy/legacy.h"
#include "selector.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

/// Of everything that one run prints; hostile state can be a thousand times larger as text than in the file.
constexpr std::uint64_t kMaxOutput = std::uint64_t{256} << 20;

struct ShowOptions {
  CommonOptions common;
  std::string what;
  bool docs = false;
  std::vector<std::string> assume;
};

/// Passes text on and counts it.
class CountingSink : public reflect::Sink {
 public:
  explicit CountingSink(reflect::Sink& sink) : sink_(sink) {}
  [[nodiscard]] Result<void> write(std::string_view text) override {
    count_ += text.size();
    return sink_.write(text);
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  reflect::Sink& sink_;
  std::uint64_t count_ = 0;
};

/// One run of the command.
class Show {
 public:
  Show(const SnapshotReader& reader, const ShowOptions& options, Output& output)
      : reader_(reader), options_(options), output_(output), schemas_(reader) {}

  ExitCode selected() {
    const Result<Selection> selection = select(reader_, options_.what);
    if (!selection) return fail(selection.error(), options_.common.json, output_);
    Result<ChunkPrintReport> report =
        print_chunk(reader_, schemas_, *selection->target.chunk, print(selection->field, 0), output_);
    if (output_.failed()) return kExitFailure;
    if (!report) {
      report.error().in_file(options_.common.file);
      if (report.error().kind() == ErrorKind::kUsage) report.error().in_device(selection->target.name);
      return fail(report.error(), options_.common.json, output_);
    }
    if (options_.common.json) output_.print("\n");
    remark(selection->target.name, *report);
    return status_;
  }

  ExitCode everything() { return options_.common.json ? everything_as_json() : everything_as_text(); }

 private:
  [[nodiscard]] ChunkPrint print(std::string_view field, std::uint32_t indent) const {
    const PrintForm form = options_.common.json ? PrintForm::kJson
                           : options_.docs      ? PrintForm::kTextWithDocs
                                                : PrintForm::kText;
    return {form, field, indent, kMaxOutput - std::min(kMaxOutput, printed_)};
  }

  /// Tells of what is odd about a chunk that was shown.
  void remark(const std::string& name, const ChunkPrintReport& report) {
    for (const reflect::Remark& remark : report.walk.remarks) {
      output_.complain(fmt::format("{}: {}: {}", name, remark.path, remark.sentence));
    }
    if (report.walk.unknown_fields != 0) {
      output_.complain(fmt::format("{}: {} that the schema in the file does not describe cannot be shown",
                                   name, count_of(report.walk.unknown_fields, "field")));
    }
    if (report.cut) {
      output_.complain(fmt::format("{}: the output was cut; name a field to see the rest", name));
      raise(kExitFindings);
    }
  }

  /// One chunk that cannot be shown does not keep the others from being shown. That the output was lost is
  /// said once, by whoever owns the streams.
  void report_failure(const std::string& name, Error error) {
    if (output_.failed()) return;
    error.in_file(options_.common.file).in_device(name);
    output_.complain(error.to_string());
    raise(exit_code(error.kind()));
  }

  /// Damage outweighs findings, whichever comes first.
  void raise(ExitCode status) {
    if (status_ == kExitOk || status_ == kExitFindings) status_ = status;
  }

  [[nodiscard]] std::string type_of(const ChunkRecord& chunk) const {
    const EmbeddedSchema* schema = reader_.schema_of(chunk);
    return fmt::format("{} {}", schema->name, vmsnap::to_string(schema->version));
  }

  void text_section(const std::string& name, const ChunkRecord& chunk) {
    output_.print(fmt::format("{}{}: {}\n", first_ ? "" : "\n", printable(name), printable(type_of(chunk))));
    if (output_.failed()) return;
    first_ = false;
    CountingSink counter(output_);
    const Result<ChunkPrintReport> report = print_chunk(reader_, schemas_, chunk, print({}, 2), counter);
    printed_ += counter.count();
    if (!report) {
      output_.print("  (cannot be shown)\n");
      report_failure(name, report.error());
    } else {
      remark(name, *report);
    }
  }

  ExitCode everything_as_text() {
    for_each_chunk([this](const std::string& name, const ChunkRecord& chunk) { text_section(name, chunk); });
    return status_;
  }

  /// Names and chunks of everything but RAM and the container's own bookkeeping.
  template <typename Function>
  void for_each_chunk(Function&& function) {
    for (const char* table : {"manifest", "memory"}) {
      if (const Result<Selection> selection = select(reader_, table))
        function(table, *selection->target.chunk);
    }
    for (const DeviceEntry& device : reader_.manifest().devices) {
      function(device.path, reader_.device_chunk(device.instance));
    }
    for (const ChunkRecord* chunk : reader_.unknown_chunks()) {
      function(fmt::format("chunk#{}", chunk->header.sequence), *chunk);
    }
  }

  /// The state as it stands in the document, or null. It is collected first: a document must not end in the
  /// middle of a device.
  std::string state_json(const std::string& name, const ChunkRecord& chunk, std::uint32_t level) {
    std::string text;
    reflect::StringSink sink(text);
    const Result<ChunkPrintReport> report = print_chunk(reader_, schemas_, chunk, print({}, level), sink);
    if (!report) {
      report_failure(name, report.error());
      return "null";
    }
    remark(name, *report);
    printed_ += text.size();
    return text;
  }

  /// `members` as the beginning of an object whose last member is "state".
  void json_element(const Json& members, const std::string& name, const ChunkRecord& chunk, bool& first) {
    output_.print(first ? "\n    {" : ",\n    {");
    first = false;
    for (const auto& [key, value] : members.items()) {
      output_.print(fmt::format("\n      \"{}\": {},", key, to_text(value)));
    }
    output_.print("\n      \"state\": " + state_json(name, chunk, 3) + "\n    }");
  }

  ExitCode everything_as_json() {
    output_.print("{");
    for (const char* table : {"manifest", "memory"}) {
      if (const Result<Selection> selection = select(reader_, table)) {
        output_.print(fmt::format("\n  \"{}\": {},", table, state_json(table, *selection->target.chunk, 1)));
      }
    }
    output_.print("\n  \"devices\": [");
    bool first = true;
    for (const DeviceEntry& device : reader_.manifest().devices) {
      json_element({{"instance", device.instance},
                    {"path", device.path},
                    {"type", device.type},
                    {"version", vmsnap::to_string(device.version)}},
                   device.path, reader_.device_chunk(device.instance), first);
    }
    output_.print(first ? "],\n  \"other_chunks\": [" : "\n  ],\n  \"other_chunks\": [");
    first = true;
    for (const ChunkRecord* chunk : reader_.unknown_chunks()) {
      const EmbeddedSchema* schema = reader_.schema_of(*chunk);
      json_element({{"sequence", chunk->header.sequence},
                    {"chunk_type", chunk->header.type.to_string()},
                    {"type", schema->name},
                    {"version", vmsnap::to_string(schema->version)}},
                   fmt::format("chunk#{}", chunk->header.sequence), *chunk, first);
    }
    output_.print(first ? "]\n}\n" : "\n  ]\n}\n");
    return status_;
  }

  const SnapshotReader& reader_;
  const ShowOptions& options_;
  Output& output_;
  SchemaCache schemas_;
  std::uint64_t printed_ = 0;  // bytes
  ExitCode status_ = kExitOk;
  bool first_ = true;
};

ExitCode run(const ShowOptions& options, Output& output) {
  if (compat::bhyve::is_legacy_set(options.common.file))
    return legacy::show({options.common.file, options.common.json, options.assume}, options.what, output);
  if (const auto refused = legacy::refuse_assume(options.assume); !refused)
    return fail(refused.error(), options.common.json, output);
  const Result<SnapshotReader> reader = open_snapshot(options.common.file);
  if (!reader) return fail(reader.error(), options.common.json, output);
  Show show(*reader, options, output);
  return options.what.empty() ? show.everything() : show.selected();
}

}  // namespace

void add_show_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command = app.add_subcommand(
      "show", "Show the manifest, the memory map and the state of devices, field by field");
  add_common_options(*command, options->common);
  command
      ->add_option("WHAT", options->what,
                   "What to show: manifest, memory, the path of a device, the type of a device if there is "
                   "one only, or "
                   "chunk#N; with .FIELD, only that field: cpu0.rip. Everything when absent")
      ->type_name("");
  legacy::add_assume_option(*command, options->assume);
  CLI::Option* docs = command->add_flag("--docs", options->docs, "Print the documentation of every field");
  docs->excludes("--json");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
